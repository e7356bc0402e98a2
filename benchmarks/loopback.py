"""A coordinator and two hospitals on loopback, as people start them; and the same two nodes in Flower's usual form."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks import cpu
from benchmarks.waiting import cpu_of_ended, free_port, wait_for
from client.hospitals.generate import write_hospitals
from common.child import adopt_orphans
from common.environment import QUIET

BIN = Path(sys.executable).parent
SITES = ("allegheny", "salt-lake")
USUAL = ("usual-allegheny", "usual-salt-lake")
APP = Path(__file__).parent / "usual"
POLL = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"  # the one interval of Flower's that its users can set


class Loopback:
    """The folders and processes; of sites, those of one form run at a time."""

    def __init__(self, folder: Path, encounters: int) -> None:
        self.folder, self.coordinator = folder, folder / "coordinator"
        self.port, self.control = free_port(), free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("FLWR_", "SITEBRIDGE_"))}
        self.environment |= QUIET | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        write_hospitals(folder / "hospitals", encounters, 215)

    def begin(self) -> None:
        """Set the coordinator up and let all four nodes join."""
        adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and so ends what it started
        listen = ["--listen", f"127.0.0.1:{self.port}", "--control-port", str(self.control)]
        self.sitebridge("coordinator", "init", self.coordinator, "--address", f"localhost:{self.port}", *listen)
        self.start("coordinator", [BIN / "sitebridge", "coordinator", "up", "--folder", self.coordinator])
        wait_for(lambda: str(self.port) in self.output("coordinator"), "coordinator up")
        for name in (*SITES, *USUAL):
            self._join(name)
        for name in SITES:
            for suffix, target in ((".csv", f"{name}.csv"), (".toml", "site.toml")):
                shutil.copy(self.folder / "hospitals" / f"{name}{suffix}", self.folder / name / target)

    def end(self) -> None:
        """End all that was started."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def sitebridge(self, *words: str | Path) -> str:
        """Run one command of Sitebridge's to its end."""
        return self.ask(BIN / "sitebridge", *words)

    def ask(self, *words: str | Path) -> str:
        """Run one command to its end and give what it printed."""
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, timeout=180, env=self.environment, cwd=self.folder
        )
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, name: str, command: Sequence[str | Path], more: Mapping[str, str] | None = None) -> None:
        """Start a command that stays, with its output in a file."""
        with (self.folder / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                list(map(str, command)),
                stdout=out,
                stderr=out,
                env=self.environment | dict(more or {}),
                cwd=self.folder,
                start_new_session=True,
            )

    def stop(self, name: str) -> float:
        """End a command; give the CPU seconds of it and of all its descendants, as the kernel gives them at their end.

        This process adopts what is left over, so that no descendant ends without being asked for its times.
        """
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        used = [cpu_of_ended(process.pid)]
        process.returncode = 0
        ours = {other.pid for other in self.running.values()}
        while orphans := [child for child in cpu.children(os.getpid()) if child not in ours]:
            used += [cpu_of_ended(orphan) for orphan in orphans]
        return sum(used)

    def finish(self, name: str) -> None:
        """Wait for the end of a command that was started."""
        if self.running.pop(name).wait(300) != 0:
            raise RuntimeError(f"{name}: {self.output(name)}")

    def output(self, name: str) -> str:
        """Give what a started command has printed."""
        path = self.folder / f"{name}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def cpu(self, names: Sequence[str]) -> float:
        """Give the CPU seconds so far of some of the started commands, with all their descendants."""
        return sum(cpu.seconds(self.running[name].pid) for name in names)

    def ours_up(self, poll: float | None = None) -> None:
        """Start both sites as a hospital does."""
        for name in SITES:
            said = len(self.output(name))
            more = {} if poll is None else {POLL: str(poll)}
            self.start(name, [BIN / "sitebridge", "site", "up", "--folder", self.folder / name], more)
            wait_for(partial(self._said_up, name, said), f"{name} is up")
        self._only(SITES)

    def usual_up(self, poll: float | None = None) -> None:
        """Start both nodes as Flower's documentation does, each with its prepared arrays."""
        for name in USUAL:
            relay = self.folder / name / "relay"
            command: list[str | Path] = [BIN / "flower-supernode", "--superlink", f"localhost:{self.port}"]
            command += ["--root-certificates", relay / "ca.pem", "--auth-supernode-private-key", relay / "node.key"]
            config = f'arrays="{self.folder / name}.npz" stamps="{self.folder / name}.stamps"'
            command += ["--port", str(free_port()), "--node-config", config]
            more = {"FLWR_HOME": str(relay / "flower")} | ({} if poll is None else {POLL: str(poll)})
            self.start(name, command, more)
        self._only(USUAL)

    def down(self, names: Sequence[str]) -> float:
        """End sites; give their CPU seconds."""
        return sum([self.stop(name) for name in names])

    def run_ours(self, rounds: int, name: str) -> Path:
        """Start a run of Sitebridge's; give the file that tells of its rounds."""
        path = self.folder / f"{name}.toml"
        path.write_text(tomli_w.dumps(federation(name, rounds)))
        self.start(name, [BIN / "sitebridge", "coordinator", "run", path, "--folder", self.coordinator])
        found = wait_for(lambda: list(self.coordinator.glob(f"runs/{name}-*/events.jsonl")), f"{name} has begun")
        return Path(found[0])

    def run_usual(self, rounds: int, evaluate: bool, name: str) -> Path:
        """Start the usual app; give the file that tells of its rounds."""
        told = self.folder / f"{name}.jsonl"
        config = self.folder / f"{name}-config.toml"
        config.write_text(tomli_w.dumps({"rounds": rounds, "evaluate": float(evaluate), "told": str(told)}))
        app = self.folder / "app"
        shutil.copytree(APP, app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**self.environment, "FLWR_HOME": str(self.coordinator / "flower")}
        words = [str(BIN / "flwr"), "run", str(app), "sitebridge", "--run-config", str(config)]
        subprocess.run(words, check=True, capture_output=True, timeout=120, env=environment, cwd=self.folder)
        wait_for(told.exists, f"{name} has begun")
        return told

    def _said_up(self, name: str, since: int) -> bool:
        return "up: " in self.output(name)[since:]

    def _join(self, name: str) -> None:
        site = self.folder / name
        self.sitebridge("site", "init", site, "--name", name)
        request, welcome = site / f"{name}.request.json", site / f"{name}.welcome.json"
        words = ("coordinator", "register", name, request, "--out", welcome, "--folder", self.coordinator)
        self.sitebridge(*words)
        self.sitebridge("site", "join", welcome, "--folder", site)

    def _only(self, names: Sequence[str]) -> None:
        """Wait until these are connected, and nobody else is."""

        def connected() -> set[str]:
            shown = self.sitebridge("coordinator", "sites", "--json", "--folder", self.coordinator)
            return {site["name"] for site in json.loads(shown) if site["connected"]}

        wait_for(lambda: connected() == set(names), f"{', '.join(names)} are connected, and nobody else")


def federation(name: str, rounds: int) -> dict[str, Any]:
    """Give the federation: two sources, one short epoch a round."""
    return {
        "name": name,
        "seeds": [215],
        "embeddings": ["minilm"],
        "strategies": ["direct"],
        "intervals": 100,
        "sites": {site: {} for site in SITES},
        "directions": [{"sources": list(SITES)}],
        "training": {"rounds": rounds, "epochs": 1, "batches": "all", "patience": "endless", "batch_size": 64},
    }
