"""The locks of the images name all that the project needs, at versions that it accepts, each by its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["records"],
    "build.lock": PROJECT["build-system"]["requires"],
}


def pins(lock: str) -> dict[str, tuple[str, int]]:
    """Give version and number of hashes of each package."""
    text = (ROOT / "deploy" / lock).read_text()
    blocks = re.findall(r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE)
    found = {canonicalize_name(name): (version, hashes.count("--hash")) for name, version, hashes in blocks}
    lines = [line for line in text.splitlines() if re.match(r"\w", line)]
    assert len(found) == len(lines), "a line of the lock is no pin with hashes"
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_covers_what_the_project_declares(lock: str) -> None:
    locked = pins(lock)
    for text in LOCKS[lock]:
        requirement = Requirement(text)
        version, hashes = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text} is locked at {version}; run deploy/lock"
        assert hashes


def test_torch_is_the_build_without_a_graphics_card() -> None:
    assert pins("requirements.lock")["torch"][0].endswith("+cpu")
    assert not [name for name in pins("requirements.lock") if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_the_images_are_labelled_with_the_version_of_the_project() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text()
    assert set(re.findall(r"^ARG VERSION=(.+)$", text, re.MULTILINE)) == {PROJECT["project"]["version"]}


def test_both_engines_leave_the_same_files_out_of_the_build() -> None:
    assert (ROOT / ".dockerignore").read_bytes() == (ROOT / ".containerignore").read_bytes()
