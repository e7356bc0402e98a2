"""One coordinator and two sites, as real processes on loopback: the same bits as in process, whatever is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.config import load_federation
from common.environment import minimal_environment
from common.supervise import processes
from server.coordinator.folder import Folder
from server.coordinator.runs import Run, every_run
from server.coordinator.settings import read_settings
from server.simulate import run as simulate

BIN = Path(sys.executable).parent
SITES = ("allegheny", "salt-lake")
SHORT = {"directions": [{"sources": [SITES[0]], "targets": [SITES[1]]}]}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]
Write = Callable[..., Path]


def until(condition: Callable[[], object], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@dataclass
class Deployment:
    """A coordinator that is up, and how to do something with it."""

    folder: Folder
    hospitals: Path
    scratch: Path
    free_port: Callable[[], int]
    stack: ExitStack

    def begin(self, command: list[str], log: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.scratch / log).open("ab") as file:
            whole = minimal_environment(environment)
            process = subprocess.Popen(command, env=whole, stdout=file, stderr=file, start_new_session=True)
        self.stack.callback(end, process)
        return process

    def command(self, *arguments: str) -> list[str]:
        return [str(BIN / "sitebridge"), "coordinator", *arguments, "--folder", str(self.folder.path)]

    def call(self, *arguments: str, code: int = 0) -> str:
        command = self.command(*arguments)
        done = subprocess.run(command, env=minimal_environment(), capture_output=True, text=True, timeout=1500)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.call(*arguments, "--json"))

    def log(self, name: str) -> str:
        return (self.scratch / name).read_text()

    def node(self, name: str) -> None:
        """Start a site's SuperNode, with its agent in the process of every message."""
        command = [str(BIN / "flower-supernode"), "--superlink", read_settings(self.folder.settings).address]
        command += ["--root-certificates", str(self.folder.ca), "--port", str(self.free_port())]
        command += ["--auth-supernode-private-key", str(self.scratch / f"{name}.key")]
        command += ["--node-config", f'site-files="{self.hospitals / name}.toml"']
        (self.scratch / name).mkdir(exist_ok=True)
        self.begin(command, f"{name}.log", FLWR_HOME=str(self.scratch / name))


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def deployment(
    make_folder: Callable[[Path], Folder],
    ask_to_join: Callable[..., Path],
    free_port: Callable[[], int],
    hospitals: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """A coordinator with both hospitals registered and connected."""
    scratch = tmp_path_factory.mktemp("deployed")
    with ExitStack() as stack:
        made = Deployment(make_folder(scratch / "coordinator"), hospitals, scratch, free_port, stack)
        made.begin(made.command("up"), "up.log")
        until(lambda: "up: sites dial" in made.log("up.log"))
        for name in SITES:
            made.call("register", name, str(ask_to_join(scratch, name)))
            made.node(name)
        until(lambda: all(site["connected"] for site in made.json("sites")))
        yield made


def in_process(path: Path, out: Path) -> dict[str, Any]:
    simulate(load_federation(path), path, out)
    return content(Run(out))


def content(run: Run) -> dict[str, Any]:
    return dict(json.loads((run.folder / "results.json").read_text()))


def steps(run: Run) -> int:
    return sum(event["kind"] == "step" for event in run.events()[0])


def test_a_run_gives_the_bits_of_the_simulation(deployment: Deployment, write: Write, tmp_path: Path) -> None:
    path = write(**SHORT)
    said = deployment.call("run", str(path))
    run = every_run(deployment.folder)[0]
    for word in ("digest", run.record.digest, "95 % interval", "local", "direct", "linear", "full", str(run.folder)):
        assert word in said
    ours, theirs = in_process(path, tmp_path / "in-process"), content(run)
    assert len(ours["weights"]) == 3
    assert theirs == ours
    assert str(deployment.hospitals) not in (run.folder / "federation.toml").read_text()
    assert "complete; there is nothing to resume" in deployment.call("resume", run.name, code=1)
    sites = {site["name"]: site for site in deployment.json("sites")}
    assert sites["allegheny"]["tables"].keys() == {"minilm"}
    assert sites["allegheny"]["connected"]


def test_a_run_stopped_then_resumed_while_the_superlink_is_killed(
    deployment: Deployment, write: Write, tmp_path: Path
) -> None:
    path = write(**SHORT, strategies=["direct"])
    before = len(every_run(deployment.folder))
    first = deployment.begin(deployment.command("run", str(path)), "first.log")
    until(lambda: len(every_run(deployment.folder)) > before)
    run = every_run(deployment.folder)[0]
    until(lambda: steps(run) == 1)
    assert "is running, and there is one run at a time" in deployment.call("run", str(path), code=1)
    assert f"coordinator resume {run.name}" in deployment.call("stop")
    until(lambda: first.poll() is not None)
    assert first.returncode == 1
    assert deployment.log("first.log").splitlines()[-1] == (
        f"Error: stopped; resume with: sitebridge coordinator resume {run.name}"
    )
    assert deployment.json("status", run.name)["state"] == "stopped"
    until(lambda: deployment.call("stop", code=1))

    done = steps(run)
    second = deployment.begin(deployment.command("resume", run.name), "second.log")
    until(lambda: steps(run) > done + 1)  # the first step comes from the journal
    state = processes(deployment.folder.state)
    assert state["superlink"].pid is not None
    os.kill(state["superlink"].pid, signal.SIGKILL)
    until(lambda: second.poll() is not None, 1500)
    if second.returncode != 0:  # the kill may fall into a moment that Flower does not survive: a stop by name
        assert f"coordinator resume {run.name}" in deployment.log("second.log")
        second = deployment.begin(deployment.command("resume", run.name), "third.log")
        until(lambda: second.poll() is not None, 1500)
    assert second.returncode == 0, deployment.log("second.log")
    assert processes(deployment.folder.state)["superlink"].restarts == 1
    assert content(run) == in_process(path, tmp_path / "in-process")


def test_the_ones_turned_away_are_named(deployment: Deployment) -> None:
    deployment.call("remove", SITES[1])
    assert [site["name"] for site in deployment.json("sites")] == [SITES[0]]
    until(lambda: "unauthenticated" in deployment.json("status")["refusals"])
    again = deployment.scratch / f"{SITES[1]}.request.json"
    assert "was removed" in deployment.call("register", SITES[1], str(again), code=1)
