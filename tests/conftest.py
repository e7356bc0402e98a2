"""Two small hospitals and federation files over them, for every test."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import settings

from client.hospitals.generate import write_hospitals
from common.config import Federation, load_federation

settings.register_profile("any machine", deadline=None)  # no test depends on timing
settings.load_profile("any machine")

TRAINING = {"rounds": 2, "epochs": 1, "batches": 8}
TUNING = {"rounds": 1, "epochs": 2, "batches": 8}


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built-in pair, 2,000 encounters each."""
    folder = tmp_path_factory.mktemp("hospitals")
    write_hospitals(folder, 2000, 1)
    return folder


@pytest.fixture(scope="session")
def clinics(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Entries of `sites` of seven sites with 280 to 286 encounters each, for sums over several."""
    folder = tmp_path_factory.mktemp("clinics")
    head, *rows = (hospitals / "allegheny.csv").read_text().splitlines(keepends=True)
    site_file = (hospitals / "allegheny.toml").read_text()
    for number, name in enumerate("abcdefg"):
        own = rows[number::7][: 280 + number]
        (folder / f"{name}.csv").write_text("".join([head, *own]))
        (folder / f"{name}.toml").write_text(site_file.replace("allegheny", name))
    return {name: {"file": str(folder / f"{name}.toml")} for name in "abcdefg"}


@pytest.fixture
def content(hospitals: Path) -> dict[str, Any]:
    """A federation file's content: both directions, every strategy, seconds to run."""
    both = ["allegheny", "salt-lake"]
    return {
        "name": "small",
        "seeds": [7],
        "embeddings": ["minilm"],
        "strategies": ["local", "direct", "linear", "full"],
        "intervals": 100,
        "sites": {name: {"file": str(hospitals / f"{name}.toml")} for name in both},
        "directions": [{"sources": [a], "targets": [b]} for a, b in (both, both[::-1])],
        "training": dict(TRAINING),
        "tuning": dict(TUNING),
    }


@pytest.fixture
def write(content: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Write the federation file with some keys replaced; ``training={"rounds": 1}`` replaces that key alone."""

    def write_with(**changes: Any) -> Path:
        whole = copy.deepcopy(content)
        for key, value in changes.items():
            old = whole.get(key)
            partly = isinstance(old, dict) and isinstance(value, dict) and key in ("training", "tuning")
            whole[key] = {**old, **value} if partly else value  # type: ignore[dict-item]
        path = tmp_path / "federation.toml"
        path.write_text(tomli_w.dumps(whole))
        return path

    return write_with


@pytest.fixture
def federation(write: Callable[..., Path]) -> Callable[..., Federation]:
    """Give a checked federation with some keys replaced."""
    return lambda **changes: load_federation(write(**changes))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public data, for acceptance tests."""
    folder = os.environ.get("SITEBRIDGE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SITEBRIDGE_DATA names no folder; this test needs the public data sets")
    return Path(folder)
