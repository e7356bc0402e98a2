"""Programs are kept running, told little, and ended with their supervisor, however that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common import child
from common.environment import minimal_environment
from common.supervise import processes

SUPERVISOR = """
import sys
from pathlib import Path
from common.supervise import Program, supervise
folder = Path(sys.argv[1])
programs = [Program(str(n), ["sh", "-c", text], pause=0.2) for n, text in enumerate(sys.argv[2:])]
supervise(programs, folder)
"""
SLEEP = "echo begun; exec sleep 100"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor of shell programs."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*programs: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), *programs]
        started.append(subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def pids(folder: Path) -> dict[str, int]:
    return {name: process.pid for name, process in processes(folder).items() if process.pid is not None}


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_ends_is_started_again(start: Start, tmp_path: Path) -> None:
    start(SLEEP, SLEEP)
    until(lambda: len(pids(tmp_path)) == 2)
    first = pids(tmp_path)
    os.kill(first["0"], signal.SIGKILL)
    until(lambda: pids(tmp_path).get("0", first["0"]) != first["0"])
    state = processes(tmp_path)
    assert (state["0"].restarts, state["0"].last_exit) == (1, -signal.SIGKILL)
    assert (state["1"].pid, state["1"].restarts) == (first["1"], 0)
    until(lambda: (tmp_path / "0.log").read_text() == "begun\nbegun\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_programs_end_with_their_supervisor(start: Start, tmp_path: Path, number: int) -> None:
    supervisor = start(SLEEP, SLEEP)
    until(lambda: len(pids(tmp_path)) == 2)
    running = pids(tmp_path)
    supervisor.send_signal(number)
    assert supervisor.wait(30) == (-number if number == signal.SIGKILL else 0)
    until(lambda: not any(map(alive, running.values())))
    assert processes(tmp_path) == {}


def test_the_last_one_started_is_the_first_to_end(start: Start, tmp_path: Path) -> None:
    noted = f'trap "echo $$ >> {tmp_path}/order; exit 0" TERM; echo begun; while :; do sleep 0.05; done'
    supervisor = start(noted, noted)
    until(lambda: all((tmp_path / f"{n}.log").exists() and (tmp_path / f"{n}.log").read_text() for n in (0, 1)))
    until(lambda: len(pids(tmp_path)) == 2)
    running = pids(tmp_path)
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    assert (tmp_path / "order").read_text().split() == [str(running["1"]), str(running["0"])]


def test_workers_do_not_outlive_their_master(start: Start, tmp_path: Path) -> None:
    start(f"sleep 100 & echo $! >> {tmp_path}/workers; wait")
    until(lambda: pids(tmp_path) and (tmp_path / "workers").exists() and (tmp_path / "workers").read_text())
    os.kill(pids(tmp_path)["0"], signal.SIGKILL)
    until(lambda: len((tmp_path / "workers").read_text().split()) == 2)
    assert not alive(int((tmp_path / "workers").read_text().split()[0]))


def test_orphans_are_adopted_and_reaped(start: Start, tmp_path: Path) -> None:
    end = tmp_path / "end"
    orphan = f"while ! test -e {end}; do sleep 0.02; done"
    supervisor = start(f"setsid sh -c '{orphan}' & echo $! > {tmp_path}/orphan; exit 0")
    until(lambda: (tmp_path / "orphan").exists() and (tmp_path / "orphan").read_text().strip())
    pid = (tmp_path / "orphan").read_text().split()[0]
    until(lambda: f"PPid:\t{supervisor.pid}\n" in Path(f"/proc/{pid}/status").read_text())
    end.touch()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_one_supervisor_a_folder(start: Start, tmp_path: Path) -> None:
    start(SLEEP)
    until(lambda: pids(tmp_path))
    second = start(SLEEP)
    assert b"already up" in second.communicate(timeout=30)[1]
    assert second.returncode == 1


def test_a_program_that_is_not_there_does_not_end_the_others(tmp_path: Path, start: Start) -> None:
    text = SUPERVISOR.replace('["sh", "-c", text]', "[text, '100']")
    with subprocess.Popen([sys.executable, "-c", text, str(tmp_path), "no-such-program", "sleep"]) as supervisor:
        until(lambda: "1" in pids(tmp_path) and processes(tmp_path)["0"].last_exit == 127)
        assert "cannot start no-such-program: No such file" in (tmp_path / "0.log").read_text()
        supervisor.terminate()


def test_a_child_is_told_little(start: Start, tmp_path: Path) -> None:
    start(f"env > {tmp_path}/seen; exec sleep 100", API_TOKEN="secret-of-ours", HTTPS_PROXY="http://proxy:3128")
    until(lambda: pids(tmp_path) and (tmp_path / "seen").exists() and "PATH=" in (tmp_path / "seen").read_text())
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert "secret-of-ours" not in seen.values()
    assert seen["HTTPS_PROXY"] == "http://proxy:3128"
    assert seen["NO_PROXY"].endswith("127.0.0.1,localhost")
    assert seen["FLWR_TELEMETRY_ENABLED"] == "0"
    assert minimal_environment({"A": "b"})["A"] == "b"


def test_a_log_that_has_grown_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_LOG_BYTES", 10)
    kept = child.Child(child.Program("a", ["sh", "-c", "echo 0123456789abc; exec sleep 100"]), tmp_path)
    kept.look()
    try:
        until(lambda: (tmp_path / "a.log").read_text())
        kept.look()
        assert ((tmp_path / "a.log").read_text(), (tmp_path / "a.log.1").read_text()) == ("", "0123456789abc\n")
    finally:
        kept.end()


def test_a_state_left_behind_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps({"a": {"pid": 1, "since": "", "restarts": 0}}))
    (tmp_path / "processes.lock").touch()
    assert processes(tmp_path) == {}
