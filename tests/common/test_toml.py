"""Mistakes in a configuration file are all named, with the key that was meant."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field

from common.errors import ConfigError
from common.files import write_atomically
from common.toml import Declared, parse, read_toml, resolve


class Inner(Declared):
    rounds: int = Field(default=1, ge=1)


class Outer(Declared):
    name: str
    training: Inner = Inner()
    sites: dict[str, Inner] = Field(default_factory=dict)


def read(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "a.toml"
    path.write_text(text)
    return read_toml(path, Outer)


def test_a_slip_is_met_with_the_key_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.toml: unknown key training\.round; did you mean training\.rounds\?"):
        read(tmp_path, 'name = "x"\n[training]\nround = 3')
    with pytest.raises(ConfigError, match=r"unknown key sites\.a\.roundz; did you mean sites\.a\.rounds\?"):
        read(tmp_path, 'name = "x"\n[sites.a]\nroundz = 3')


def test_all_problems_come_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "colour = 1\n[training]\nrounds = 0")
    lines = str(error.value).splitlines()
    assert lines[0].endswith("a.toml: 3 problems")
    assert "key name is missing" in str(error.value)
    assert "unknown key colour" in str(error.value)
    assert "training.rounds should be greater than or equal to 1. Got 0 instead" in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"), [(b"name = ", "not valid TOML"), (b"\xff\xfe", "expected TOML in UTF-8")]
)
def test_what_is_not_toml(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_toml(path, Outer)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"b\.toml: no such file"):
        read_toml(tmp_path / "b.toml", Outer)


def test_paths_are_anchored_and_variables_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", str(tmp_path / "there"))
    assert resolve("${WHERE}/x.csv", Path("/elsewhere")) == tmp_path / "there" / "x.csv"
    assert resolve("x.csv", tmp_path) == tmp_path / "x.csv"
    monkeypatch.delenv("WHERE")
    with pytest.raises(ConfigError, match="the environment variable WHERE is not set"):
        resolve("${WHERE}/x.csv", tmp_path)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file, and where it is mounted by itself, as into a container."""
    file, place = tmp_path / "site.toml", tmp_path / "mounted.toml"
    file.write_text("a = 1")
    place.touch()
    if subprocess.run(["mount", "--bind", file, place], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a file")
    yield file, place
    subprocess.run(["umount", place], check=True)


def test_a_file_that_was_replaced_behind_its_mount_is_not_believed(mounted: tuple[Path, Path]) -> None:
    file, place = mounted
    file.write_text("a = 2")
    assert parse(place) == {"a": 2}
    write_atomically(file, "a = 3")  # as editors do
    with pytest.raises(ConfigError, match=r"was replaced outside of this container, .* restart the container"):
        parse(place)
