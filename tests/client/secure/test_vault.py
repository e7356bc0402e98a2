"""What a site keeps of secure aggregation outlives its process, is for its owner alone, and is not made up anew."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from client.refusals import UnsafeError
from client.secure.vault import Vault
from common.errors import ConfigError


def test_it_outlives_the_process(tmp_path: Path) -> None:
    first = Vault(tmp_path)
    first.begin("r")
    first.note_masked("r", "round 1", "update", "masked")
    first.note_left("r", "round 1", ("a", "b", "c"))
    second = Vault(tmp_path)
    assert second.public == first.public
    second.begin("r")
    assert second.secret("r") == first.secret("r")
    with pytest.raises(UnsafeError, match="another update has left"):
        second.note_masked("r", "round 1", "update", "another")
    with pytest.raises(UnsafeError, match="part of a sum over a, b, c; asked for a, b, d"):
        second.note_left("r", "round 1", ("a", "b", "d"))
    second.note_left("r", "round 1", ("a", "b", "c"))


def test_for_its_owner_alone(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "agent")
    assert len(vault.fingerprint) == 64
    vault.begin("r")
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "agent").iterdir()} == {
        "identity.key": 0o600,
        "secure.json": 0o600,
    }


def test_sites_and_runs_have_keys_of_their_own(tmp_path: Path) -> None:
    one, two = Vault(tmp_path / "1"), Vault(None)
    for vault in (one, two):
        for run in ("r", "s"):
            vault.begin(run)
    keys = {vault.key(run).private_bytes_raw() for vault in (one, two) for run in ("r", "s")}
    assert len(keys) == 4
    assert one.fingerprint != two.fingerprint == two.fingerprint


def test_a_run_that_it_was_not_greeted_for(tmp_path: Path) -> None:
    with pytest.raises(UnsafeError, match="run 'r': this site has no secret of it; start the run anew"):
        Vault(tmp_path).key("r")


def test_it_remembers_twenty_runs(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    for number in range(21):
        vault.begin(f"run-{number}")
    assert vault.secret("run-1")
    with pytest.raises(UnsafeError, match="run 'run-0'"):
        vault.secret("run-0")


@pytest.mark.parametrize("name", ["identity.key", "secure.json"])
def test_what_is_damaged_is_not_replaced(tmp_path: Path, name: str) -> None:
    vault = Vault(tmp_path)
    assert vault.public
    vault.begin("r")
    (tmp_path / name).write_text("{}x")
    with pytest.raises(ConfigError, match=f"{name}: (not a key|cannot be read).*put back the file, or remove it"):
        damaged(tmp_path)
    assert (tmp_path / name).read_text() == "{}x"


def damaged(folder: Path) -> None:
    vault = Vault(folder)
    assert vault.public
    vault.secret("r")
