"""What a site runs, what each part is told, and who it runs as."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from client.home import up as module
from client.home.flower_log import last_session
from client.home.join import join
from client.home.layout import Home
from client.home.programs import agent_environment, agent_program, relay_programs
from client.home.up import is_ready, up, up_half
from client.home.users import hand_over
from common.child import Child, Program
from common.errors import ConfigError
from common.supervise import Process

Write = Callable[..., Path]


def test_the_relay_is_told_of_no_data(home: Home, welcome: Write, monkeypatch) -> None:
    monkeypatch.setenv("HILL_DATA", "/data/hill")
    home.site_file.write_text(home.site_file.read_text().replace('"encounters.csv"', '"${HILL_DATA}/flu.csv"'))
    programs = relay_programs(home, join(home, welcome())[0])
    assert [program.name for program in programs] == ["supernode", "superexec"]
    for program in programs:
        told = [*program.command, *program.environment.values()]
        assert not [
            word for word in told if "/data/hill" in word or "site.toml" in word or str(home.agent) + "/" in word
        ]
    node = list(programs[0].command)
    assert node[node.index("--superlink") + 1] == "coordinator.example:8443"
    assert node[node.index("--root-certificates") + 1] == str(home.ca)
    assert node[node.index("--node-config") + 1] == f'agent-socket="{home.socket}"'
    assert "--insecure" not in node
    assert agent_program(home).environment == {"HILL_DATA": "/data/hill"}


def test_with_mutual_tls_flower_speaks_to_the_sidecar(home: Home, welcome: Write) -> None:
    sidecar, node, _ = relay_programs(home, join(home, welcome(mutual_tls=True))[0])
    address = node.command[list(node.command).index("--superlink") + 1]
    assert (sidecar.name, address) == ("sidecar", f"127.0.0.1:{sidecar.command[-1]}")
    assert str(home.relay / "sidecar.pem") in node.command
    assert stat.S_IMODE((home.relay / "sidecar.key").stat().st_mode) == 0o600


def test_only_variables_of_the_site_file_reach_the_agent(home: Home, monkeypatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    assert agent_environment(home) == {}
    home.site_file.unlink()
    with pytest.raises(ConfigError, match="the agent needs this site's file"):
        agent_environment(home)


def test_a_site_that_has_not_joined(home: Home) -> None:
    for start in (lambda: up(home, print), lambda: up_half(home, "relay", print)):
        with pytest.raises(ConfigError, match="send the request to the coordinator"):
            start()


def test_ready_means_connected_since_the_last_start(home: Home, monkeypatch) -> None:
    since = {"supernode": Process(1, "2026-01-01T00:00:00+00:00")}
    monkeypatch.setattr(module, "processes", lambda _: since)
    assert not is_ready(home, "relay")
    home.node_log.write_text("Starting Flower SuperNode\nSuperNode ID: 5\n")
    assert is_ready(home, "relay")
    os.utime(home.node_log, (0, 0))  # nothing was said since the process began
    assert not is_ready(home, "relay")
    home.node_log.write_text("Starting Flower SuperNode\nSuperNode ID: 5\nStarting Flower SuperNode\n")
    assert not is_ready(home, "relay")


def test_a_ready_agent_is_the_one_that_runs(home: Home, monkeypatch) -> None:
    monkeypatch.setattr(module, "processes", lambda _: {"agent": Process(7, "")})
    (home.agent / "state.json").write_text(json.dumps({"pid": 6}))
    assert not is_ready(home, "agent")
    (home.agent / "state.json").write_text(json.dumps({"pid": 7}))
    assert is_ready(home, "agent")


def test_an_end_in_flower_s_words(home: Home) -> None:
    home.node_log.write_text(
        "Starting Flower SuperNode\nSuperNode ID: 5\nStarting Flower SuperNode\n\x1b[91mERROR\x1b[0m: Exit Code: 305\n"
    )
    session = last_session(home.node_log)
    assert session.node is None
    assert "clears within a minute" in session.why


def test_users_go_together(home: Home) -> None:
    words = "need root" if os.geteuid() else "two different users"
    with pytest.raises(ConfigError, match=words):
        hand_over(home, "nobody", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of other users")
def test_two_users(home: Home, welcome: Write, tmp_path: Path) -> None:
    join(home, welcome())
    hand_over(home, "nobody", "daemon")
    relay, agent = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
    assert {path.stat().st_uid for path in (home.relay, *home.relay.rglob("*"))} == {relay.pw_uid}
    assert {path.stat().st_uid for path in (home.agent, home.run, home.site_file)} == {agent.pw_uid}
    assert (home.run.stat().st_gid, stat.S_IMODE(home.run.stat().st_mode)) == (relay.pw_gid, 0o2750)
    child = Child(Program("id", ["sh", "-c", "id -u; id -G"], user="nobody"), tmp_path)
    child.look()
    assert child.process is not None
    child.process.wait(30)
    assert (tmp_path / "id.log").read_text().split() == [str(relay.pw_uid), str(relay.pw_gid)]
