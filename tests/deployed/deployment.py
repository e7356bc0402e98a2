"""A coordinator and two hospitals as separate processes on this machine, over TLS with keys, as people start them."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from client.hospitals.generate import write_hospitals
from common.config import load_federation
from common.environment import minimal_environment
from server.simulate import run as simulate

SITEBRIDGE = str(Path(sys.executable).parent / "sitebridge")
SITES = ("allegheny", "salt-lake")
CONTENT: dict[str, Any] = {
    "name": "deployed",
    "seeds": [7],
    "embeddings": ["minilm"],
    "strategies": ["local", "linear"],
    "intervals": 100,
    "directions": [{"sources": list(SITES)}, {"sources": ["allegheny"], "targets": ["salt-lake"]}],
    "training": {"rounds": 3, "epochs": 1, "batches": 8},
    "tuning": {"rounds": 1, "epochs": 2, "batches": 8},
    "failures": {"retries": 3, "timeout": 240.0, "away": 180.0},
}


def free_port() -> int:
    """Give a port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Wait for something to become true; a generous bound, for a machine that is busy."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"did not happen within {seconds:.0f} s: {what}")


class Deployment:
    """The folders and processes of one federation on loopback."""

    def __init__(self, folder: Path, sites: tuple[str, ...] = SITES) -> None:
        self.folder, self.sites = folder, sites
        self.coordinator = folder / "coordinator"
        self.port, self.control = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = minimal_environment()  # a bare SuperNode, too, finds Flower's other commands

    def sitebridge(self, *words: str | Path, check: bool = True, seconds: float = 120) -> str:
        """Run one command to its end and give what it printed."""
        done = subprocess.run(
            [SITEBRIDGE, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self.environment,
            cwd=self.folder,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def start(self, name: str, *words: str | Path) -> subprocess.Popen[bytes]:
        """Start a command that stays, with its output in a file."""
        with (self.folder / f"{name}.out").open("ab") as out:
            command = [SITEBRIDGE, *map(str, words)]
            self.processes[name] = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment, cwd=self.folder
            )
        return self.processes[name]

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a command that `start` started."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(number)
        process.wait(60)

    def up(self) -> None:
        """Start the coordinator's servers and wait until the port answers."""
        said = len(self.output("coordinator"))
        self.start("coordinator", "coordinator", "up", "--folder", self.coordinator)
        wait_for(lambda: str(self.port) in self.output("coordinator")[said:], "coordinator up")

    def site_up(self, name: str) -> None:
        """Start a site and wait until it is connected."""
        said = len(self.output(name))
        self.start(name, "site", "up", "--folder", self.folder / name)
        wait_for(lambda: "up: " in self.output(name)[said:], f"site {name} up")

    def output(self, name: str) -> str:
        """Give what a started command has printed so far."""
        path = self.folder / f"{name}.out"
        return path.read_text() if path.exists() else ""

    def join(self, name: str) -> None:
        """Take one hospital from nothing to a site that may go up."""
        site = self.folder / name
        self.sitebridge("site", "init", site, "--name", name)
        shutil.copy(self.folder / "hospitals" / f"{name}.csv", site / f"{name}.csv")
        own = (self.folder / "hospitals" / f"{name}.toml").read_text()
        (site / "site.toml").write_text(with_approval(own))
        welcome = site / f"{name}.welcome.json"
        self.sitebridge(
            "coordinator",
            "register",
            name,
            site / f"{name}.request.json",
            "--out",
            welcome,
            "--folder",
            self.coordinator,
        )
        self.sitebridge("site", "join", welcome, "--folder", site)

    def federation(self, approve: bool = True, **changes: Any) -> Path:
        """Write a federation file, and let all hospitals' data stewards approve it."""
        content = {**CONTENT, **changes, "sites": {name: {} for name in self.sites}}
        path = self.folder / f"{content['name']}.toml"
        path.write_text(tomli_w.dumps(content))
        if approve:
            for name in self.sites:
                self.sitebridge("site", "approve", path, "--by", "a test", "--folder", self.folder / name)
        return path

    def expected(self, federation: Path) -> dict[str, str]:
        """Give the digests of the weights of the same federation in one process."""
        out = self.folder / "in-process" / federation.stem
        if not out.exists():
            sites = {name: {"file": str(self.folder / "hospitals" / f"{name}.toml")} for name in self.sites}
            simulate(load_federation(federation, {"sites": sites}), federation, out)
        return weights(out)

    def run(self, federation: Path) -> Path:
        """Start a run in the background; give its folder as soon as it is there."""
        before = set(self.runs())
        (self.folder / "run.out").unlink(missing_ok=True)
        self.start("run", "coordinator", "run", federation, "--folder", self.coordinator)
        new = wait_for(lambda: set(self.runs()) - before or self.processes["run"].poll(), "the run's folder")
        assert isinstance(new, set), self.output("run")
        return Path(new.pop())

    def resume(self, run: Path) -> None:
        """Resume a run in the background."""
        (self.folder / "run.out").unlink(missing_ok=True)
        self.start("run", "coordinator", "resume", run.name, "--folder", self.coordinator)

    def finish(self, seconds: float = 420) -> int:
        """Wait for the run's command; give its exit code."""
        process = self.processes.pop("run")
        return process.wait(seconds)

    def runs(self) -> list[Path]:
        """Give the folders of all runs."""
        return list((self.coordinator / "runs").glob("*"))

    def pid(self, where: Path, name: str) -> int:
        """Give the process of a supervised program."""
        return int(wait_for(lambda: json.loads((where / "processes.json").read_text())[name]["pid"], f"{name} runs"))

    def restarts(self, where: Path, name: str) -> int:
        """Give how often a supervised program has been restarted."""
        return int(json.loads((where / "processes.json").read_text())[name]["restarts"])


@contextmanager
def running(folder: Path, *options: str, sites: tuple[str, ...] = SITES) -> Iterator[Deployment]:
    """Give a coordinator and hospitals, up and connected; `options` go to `coordinator init`."""
    made = Deployment(folder, sites)
    write_hospitals(made.folder / "hospitals", 2000, 1)
    for name in set(sites) - set(SITES):
        second_of(made.folder / "hospitals", name)
    given = ["--listen", f"127.0.0.1:{made.port}", "--control-port", str(made.control), *options]
    try:
        made.sitebridge("coordinator", "init", made.coordinator, "--address", f"localhost:{made.port}", *given)
        made.up()
        for name in sites:
            made.join(name)
            made.site_up(name)
        yield made
    finally:
        for name in reversed(list(made.processes)):
            made.end(name)


def second_of(hospitals: Path, name: str) -> None:
    """Let half of Allegheny's encounters be another hospital's."""
    top, *rows = (hospitals / "allegheny.csv").read_text().splitlines(keepends=True)
    (hospitals / f"{name}.csv").write_text("".join([top, *rows[::2]]))
    (hospitals / "allegheny.csv").write_text("".join([top, *rows[1::2]]))
    (hospitals / f"{name}.toml").write_text((hospitals / "allegheny.toml").read_text().replace("allegheny", name))


def with_approval(site_file: str) -> str:
    """Let a hospital's site file demand its data steward's approval."""
    if "[policy]" in site_file:
        return site_file.replace("[policy]", "[policy]\napproval = true")
    return site_file + "\n[policy]\napproval = true\n"


def weights(run: Path) -> dict[str, str]:
    """Give the SHA-256 of every file of weights of a run."""
    return dict(json.loads((run / "results.json").read_text())["weights"])


def happened(run: Path, kind: str, text: str = "") -> bool:
    """Whether a run has told of something."""
    path = run / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return any(line["kind"] == kind and text in line.get("text", "") for line in lines)
