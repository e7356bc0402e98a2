"""The coordinator's command line, where nothing is up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.cli import main
from server.coordinator.folder import Folder


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; its exit code, and what it said on both outputs."""
    with pytest.raises(SystemExit) as exit_:
        main(["coordinator", *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return int(exit_.value.code or 0), said.out, said.err


def test_init_says_what_a_person_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "init", str(tmp_path / "hub"), "--address", "hub.example.org:443")
    assert code == 0
    for words in ("sites dial hub.example.org:443", "fingerprint of the authority (SHA-256): ", "authority until"):
        assert words in out
    assert 'listen = "0.0.0.0:443"' in (tmp_path / "hub" / "coordinator.toml").read_text()
    code, out, _ = call(capsys, "renew", "--folder", str(tmp_path / "hub"))
    assert (code, "server certificate until" in out) == (0, True)
    code, _, err = call(capsys, "init", str(tmp_path / "hub"), "--address", "hub.example.org:443")
    assert (code, "already there and not empty" in err) == (1, True)


def test_a_wrong_address_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "init", str(tmp_path / "hub"), "--address", "hub")
    assert (code, "'hub' is not an address; expected HOST:PORT" in err) == (1, True)
    assert not (tmp_path / "hub").exists()


def test_the_folder_may_come_from_the_environment(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITEBRIDGE_COORDINATOR", str(folder.path))
    assert call(capsys, "sites", "--json")[:2] == (0, "[]\n")
    monkeypatch.delenv("SITEBRIDGE_COORDINATOR")
    monkeypatch.chdir(folder.path)
    assert "no coordinator here" in call(capsys, "sites")[2]


def test_what_is_not_up_says_so(
    folder: Folder,
    capsys: pytest.CaptureFixture[str],
    ask_to_join: Callable[..., Path],
    tmp_path: Path,
    write: Callable[..., Path],
) -> None:
    at = ("--folder", str(folder.path))
    code, out, _ = call(capsys, "status", *at)
    assert (code, "not up; start it" in out, "authority until" in out) == (0, True, True)
    told = json.loads(call(capsys, "status", "--json", *at)[1])
    assert (told["servers"], told["refusals"], told["runs"]) == ({}, {}, [])
    code, _, err = call(capsys, "register", "st-anna", str(ask_to_join(tmp_path, "st-anna")), *at)
    assert (code, "the coordinator is not up" in err) == (1, True)
    assert not (tmp_path / "st-anna.welcome.json").exists()
    assert "allegheny is not registered" in call(capsys, "run", str(write()), *at)[2]
    assert "the coordinator is not up" in call(capsys, "stop", *at)[2]
    assert "no such run" in call(capsys, "resume", "none", *at)[2]


def test_without_nginx_nothing_is_started(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    code, _, err = call(capsys, "up", "--folder", str(folder.path))
    assert (code, "nginx is not installed" in err) == (1, True)
    assert not (folder.state / "processes.json").exists()


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from common.cli import main\ntry: main(['coordinator', 'run', '--help'])\n"
    code += "except SystemExit: pass\n"
    code += "assert not {'torch', 'flwr', 'pandas', 'pydantic', 'cryptography'} & set(sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "coordinator run" in said
