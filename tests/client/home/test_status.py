"""Status says what is so in words, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.audit.log import AuditLog
from client.home import status as module
from client.home.join import join
from client.home.layout import Home
from client.home.status import lines, status
from common.cli import main
from common.supervise import Process


def test_a_new_site(home: Home) -> None:
    said = "\n".join(lines(status(home)))
    assert "not joined yet" in said
    assert said.count("not up; start it: sitebridge site up") == 2
    assert "last message none yet" in said
    assert "approval     none" in said


def test_in_containers_each_half_says_what_it_cannot_see(home: Home, welcome: Callable[..., Path]) -> None:
    join(home, welcome())
    home.relay.rename(home.path / "elsewhere")
    assert "coordinator  not seen from here; ask in the relay's own container" in lines(status(home))
    (home.path / "elsewhere").rename(home.relay)
    home.agent.rename(home.path / "elsewhere")
    assert "agent        not seen from here; ask in its own container" in lines(status(home))


def test_a_site_at_work(home: Home, welcome: Callable[..., Path], monkeypatch) -> None:
    join(home, welcome())
    since = "2026-01-01T00:00:00+00:00"
    running = {
        "relay": {"supernode": Process(None, since, 3, 1), "superexec": Process(8, since, 1, -9)},
        "agent": {"agent": Process(9, since)},
    }
    monkeypatch.setattr(module, "processes", lambda folder: running[folder.name])
    home.node_log.write_text("Starting Flower SuperNode\nERROR : Exit Code: 305\n")
    error = {"time": since, "code": "bad-cohort", "text": "hill.csv: no column"}
    (home.agent / "state.json").write_text(
        json.dumps({"since": since, "identity": "ab" * 32, "site_file": "ok", "cohort": {"minilm": {}}, "error": error})
    )
    log = AuditLog(home.agent)
    log.append({"direction": "in", "bytes": 1200, "what": "greet", "decision": "received"})
    log.append({"direction": "out", "bytes": 34, "what": "greet", "decision": "refused", "figures": []})
    log.close()
    facts = status(home)
    said = "\n".join(lines(facts))
    assert "coordinator.example:8443, not connected" in said
    assert "waits for its next start" in said
    assert "it still counts this site as connected" in said
    assert "killed by SIGKILL" in said
    assert "cohort       loaded for minilm" in said
    assert f"identity     {'ab' * 32}" in said
    assert f"last error   {since}: code bad-cohort: hill.csv: no column" in said
    assert "in: 1 messages, 1,200 bytes; out: 1 messages" in said
    assert "1 refused" in said
    assert facts["last_message"] is not None
    assert json.loads(json.dumps(facts))["processes"]["superexec"]["last_end"] == "killed by SIGKILL"


def test_an_approval_that_is_none(home: Home) -> None:
    (home.agent / "approvals").mkdir()
    (home.agent / "approvals" / "abc.toml").write_text("by = 3")
    assert "abc.toml: cannot be read" in "\n".join(lines(status(home)))


def test_the_commands(home: Home, capsys) -> None:
    main_returns(["site", "status", "--json", "--folder", str(home.path)])
    assert json.loads(capsys.readouterr().out)["site"] == "hill"


def main_returns(arguments: list[str], code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code or 0) == code
