"""Asks Flower's SuperLink, through Flower's own command line, to register nodes and to start and stop runs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from common.environment import minimal_environment
from common.errors import SitebridgeError
from common.files import write_atomically
from server.coordinator.folder import Folder
from server.coordinator.settings import read_settings

CONNECTION = "sitebridge"  # what Flower's own configuration calls this SuperLink

_LIVE = ("pending", "starting", "running")

_PATIENCE = 60.0  # seconds for one command


class FlowerError(SitebridgeError):
    """Flower did not do what it was asked, and said why."""


class NotUpError(SitebridgeError):
    """The SuperLink is not there to be asked."""


@dataclass(frozen=True)
class Status:
    """What Flower says of a run: its word for the state, and what the ServerApp's exception said."""

    word: str = "unknown"
    details: str = ""

    @property
    def live(self) -> bool:
        """Whether the run is not finished."""
        return self.word in _LIVE


class Flower:
    """The SuperLink of one coordinator.

    Parameters
    ----------
    folder : Folder
        The coordinator's.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{read_settings(folder.settings).control_port}"

    def register(self, key: Path, name: str) -> str:
        """Register a node's public key under a site's name; gives the node's number."""
        return str(self._ask("supernode", "register", str(key), CONNECTION, "--name", name)["node-id"])

    def unregister(self, node: str) -> None:
        """Take a node out; it is refused from now on, and its key for good."""
        self._ask("supernode", "unregister", node, CONNECTION)

    def nodes(self) -> dict[str, dict[str, str]]:
        """Give what Flower knows of every node, by number."""
        return {str(node["node-id"]): node for node in self._ask("supernode", "list", CONNECTION)["nodes"]}

    def start(self, federation: Path, out: Path) -> str:
        """Start a run; gives its number."""
        config = self.folder.state / "run-config.toml"
        write_atomically(config, tomli_w.dumps({"federation": str(federation), "out": str(out)}))
        return str(self._ask("run", str(self.folder.app), CONNECTION, "--run-config", str(config))["run-id"])

    def stop(self, run: str) -> None:
        """Stop a run."""
        self._ask("stop", run, CONNECTION)

    def statuses(self) -> dict[str, Status]:
        """Give the state of every run that the SuperLink's database knows, by number."""
        runs = self._ask("list", CONNECTION)["runs"]
        return {str(run["run-id"]): Status(str(run["status"]), _details(run)) for run in runs}

    def is_up(self) -> bool:
        """Whether the SuperLink's port answers."""
        host, _, port = self.address.rpartition(":")
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((host, int(port))) == 0

    def _ask(self, *arguments: str) -> dict[str, Any]:
        """Run one of Flower's commands.

        Raises
        ------
        NotUpError
            Nothing listens.
        FlowerError
            The command failed; Flower's words for it.
        """
        if not self.is_up():
            raise NotUpError("the coordinator is not up; start it with `sitebridge coordinator up`")
        command = [str(Path(sys.executable).parent / "flwr"), *arguments, "--format", "json"]
        environment = minimal_environment({"FLWR_HOME": str(self.folder.flower), "NO_COLOR": "1"})
        self._connect()
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=self.folder.flower,
                timeout=_PATIENCE,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise FlowerError(f"flwr {arguments[0]}: no answer in {_PATIENCE:.0f} s; see {self.folder.state}") from None
        return _read(done.stdout, done.stderr, f"flwr {arguments[0]}")

    def _connect(self) -> None:
        """Tell Flower's command line where the SuperLink is, and by which authority to know it."""
        connection = {"address": self.address, "root-certificates": str(self.folder.ca)}
        content = tomli_w.dumps({"superlink": {"default": CONNECTION, CONNECTION: connection}})
        path = self.folder.flower / "config.toml"
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            write_atomically(path, content)


def _details(run: dict[str, Any]) -> str:
    said = str(run.get("status-details") or "")
    return "" if said == "N/A" else said


def _read(said: str, complained: str, command: str) -> dict[str, Any]:
    """Read what a command printed."""
    try:
        content = json.loads(said)
    except ValueError:
        lines = [line for line in (complained or said).splitlines() if re.search(r"\w", line)]
        raise FlowerError(f"{command}: {' '.join(lines[-3:]) or 'said nothing'}") from None
    if not isinstance(content, dict) or not content.get("success"):
        raise FlowerError(f"{command}: {content.get('error-message', said) if isinstance(content, dict) else said}")
    return content
