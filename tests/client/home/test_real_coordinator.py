"""A site and a real coordinator on loopback, by their commands alone, with mutual TLS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.environment import minimal_environment
from common.supervise import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed, and the coordinator needs it"),
]


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@dataclass
class Two:
    """A folder for both, and their commands."""

    path: Path
    stack: ExitStack

    def call(self, *arguments: str, code: int = 0) -> str:
        command = [str(Path(sys.executable).parent / "sitebridge"), *arguments]
        done = subprocess.run(
            command, env=minimal_environment(), cwd=self.path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def begin(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).parent / "sitebridge"), *arguments]
        with (self.path / log).open("ab") as file:
            process = subprocess.Popen(command, env=minimal_environment(), cwd=self.path, stdout=file, stderr=file)
        self.stack.callback(process.wait, 60)
        self.stack.callback(process.terminate)
        until(lambda: "up: " in (self.path / log).read_text() or process.poll() is not None)
        assert process.poll() is None, (self.path / log).read_text()
        return process

    def checked(self, code: int) -> dict[str, str]:
        """Give the level of each hop."""
        found: Any = json.loads(self.call("site", "check", "--json", code=code))
        hops = [finding for finding in found["findings"] if finding["section"] == "connection"]
        return {finding["text"].partition(":")[0]: finding["level"] for finding in hops}


@pytest.fixture
def two(tmp_path: Path, hospitals: Path) -> Iterator[Two]:
    with ExitStack() as stack:
        made = Two(tmp_path, stack)
        port, control = _ports(2)
        address = f"127.0.0.1:{port}"
        made.call("coordinator", "init", "coordinator", "--address", address, "--listen", address, "--mutual-tls")
        settings = tmp_path / "coordinator" / "coordinator.toml"
        settings.write_text(settings.read_text().replace("control_port = 8000", f"control_port = {control}"))
        made.call("site", "init", "site", "--name", "allegheny")
        shutil.copy(hospitals / "allegheny.csv", tmp_path / "site" / "allegheny.csv")
        shutil.copy(hospitals / "allegheny.toml", tmp_path / "site" / "site.toml")
        yield made


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_from_init_to_connected_and_back(two: Two) -> None:
    two.begin("coordinator.log", "coordinator", "up")
    two.call("coordinator", "register", "allegheny", "site/allegheny.request.json")
    joined = two.call("site", "join", "site/allegheny.welcome.json")
    assert joined.splitlines()[2].strip() == _fingerprint(two)

    before = two.checked(0)
    assert before["authentication"] == before["message"] == before["TLS"] == before["clock"] == "ok"

    site = two.begin("site.log", "site", "up")
    assert _connected(two)
    during = two.checked(0)
    assert during["authentication"] == during["message"] == "ok"
    relay = two.path / "site" / "relay"
    assert set(processes(relay)) == {"sidecar", "supernode", "superexec"}

    node = processes(relay)["supernode"].pid
    assert node is not None
    os.kill(node, signal.SIGKILL)  # the coordinator counts it as connected for a while, and refuses its successor
    until(lambda: not _connected(two))
    until(lambda: _connected(two))

    pids = [process.pid for half in ("relay", "agent") for process in processes(two.path / "site" / half).values()]
    site.terminate()
    assert site.wait(60) == 0
    assert not [pid for pid in pids if pid is not None and Path(f"/proc/{pid}").exists()]

    two.call("coordinator", "remove", "allegheny")
    assert two.checked(1)["authentication"] == "fail"


def _connected(two: Two) -> bool:
    return bool(json.loads(two.call("site", "status", "--json"))["connected"])


def _fingerprint(two: Two) -> str:
    from server.coordinator.authority import fingerprint

    return fingerprint((two.path / "coordinator" / "ca" / "ca.pem").read_bytes())
