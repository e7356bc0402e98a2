"""Watches a run from outside: when each message passed which point at which site, and what each round cost."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmarks import cpu

STAGES = {  # of a message, each from one mark to the next
    "poll of the SuperExec, until a process starts": ("received", "started"),
    "start of the process: imports, bundle, message": ("started", "in"),
    "work: training, scoring": ("in", "out"),
    "answer to the node, its poll of 0.5 s": ("out", "sending"),
    "answer to the coordinator": ("sending", "sent"),
    "join, next message, the node's poll of 3 s": ("sent", "next"),
}
_LINES = {"received": "Receiving: ", "sending": "Sending: ", "sent": "Sent successfully"}  # in a SuperNode's log
_LOOK = 0.02  # seconds between two looks at the logs
_PROCESSES = 5  # looks at the logs for one at the processes
_EARLY = 0.3  # seconds by which a mark may seem to come before the message itself
_LONGEST = 180.0  # seconds of a round
_TORCH = "libtorch_cpu"


@dataclass(frozen=True)
class Round:
    """When a round ended, and the CPU seconds that the sites had used by then."""

    at: float
    cpu: float


@dataclass
class Site:
    """What is known of one site.

    Attributes
    ----------
    root : int
        Process from which all others of the site descend.
    log : Path
        Of its SuperNode.
    work : Path
        Gets a line when work on a message begins, and one when it ends: the audit log, or what is like it.
    marks : dict of str to list of float
        For each point, when each message passed it.
    torch : dict of int to int
        For each process, in how many looks it had torch loaded, up to two: one that a process with torch has just
        started looks like it for a moment.
    """

    root: int
    log: Path
    work: Path
    marks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    torch: dict[int, int] = field(default_factory=dict)

    def message(self, since: float, until: float) -> dict[str, float]:
        """Give the marks of the message that was received at `since`, until the next one."""
        window = (since - _EARLY, until - _EARLY)
        passed = {
            mark: min((at for at in times if window[0] <= at < window[1]), default=0.0)
            for mark, times in self.marks.items()
        }
        return passed | {"next": until}

    def look(self, since: float) -> None:
        """Look who is new among the site's processes, and who has loaded torch."""
        for process in cpu.tree(self.root):
            try:
                if process not in self.torch and "flwr-clientapp" in Path(f"/proc/{process}/cmdline").read_text():
                    self.marks["started"] += [at for at in [cpu.started(process)] if at > since]
                if (looks := self.torch.setdefault(process, 0)) < 2:
                    self.torch[process] = looks + (_TORCH in Path(f"/proc/{process}/maps").read_text())
            except OSError:  # it has just ended
                continue


class Watch:
    """Watches one run.

    Parameters
    ----------
    sites : mapping of str to Site
    used : callable
        Gives the CPU seconds that the sites have used so far.
    """

    def __init__(self, sites: Mapping[str, Site], used: Callable[[], float]) -> None:
        self.sites, self.used, self.begun = sites, used, time.time()
        self.rounds: list[Round] = []
        files = [path for site in sites.values() for path in (site.log, site.work)]
        self._places = {path: path.stat().st_size for path in files if path.exists()}

    def until(self, told: Path, rounds: int) -> None:
        """Watch until the file `told` tells of the end of so many rounds."""
        deadline, looks = time.monotonic() + _LONGEST * rounds, 0
        while len(self.rounds) < rounds:
            for site in self.sites.values():
                self._read(site)
                if looks % _PROCESSES == 0:
                    site.look(self.begun)
            for line in self._new(told):
                if re.match(r"round [1-9]", str(json.loads(line).get("text", ""))):
                    self.rounds.append(Round(time.time(), self.used()))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{told}: {len(self.rounds)} of {rounds} rounds")
            looks += 1
            time.sleep(_LOOK)

    def walls(self) -> list[float]:
        """Give the seconds of every round but the first."""
        return [after.at - before.at for before, after in pairwise(self.rounds)]

    def cpu_of_round(self) -> float:
        """Give the CPU seconds of a site for a round, without the first round and all that came before."""
        return (self.rounds[-1].cpu - self.rounds[0].cpu) / (len(self.rounds) - 1) / len(self.sites)

    def cpu_of_message(self) -> float:
        """Give the CPU seconds of a site for a message."""
        return self.cpu_of_round() * (len(self.rounds) - 1) * len(self.sites) / self.messages()

    def messages(self) -> int:
        """Count the messages that were answered in the counted rounds."""
        span = (self.rounds[0].at, self.rounds[-1].at)
        return sum(span[0] < at <= span[1] for site in self.sites.values() for at in site.marks["sent"])

    def stages(self) -> list[dict[str, float]]:
        """Give the seconds of each stage of the messages of the counted rounds."""
        span = (self.rounds[0].at, self.rounds[-1].at)
        passed = [
            site.message(*pair)
            for site in self.sites.values()
            for pair in pairwise(site.marks["received"])
            if span[0] < pair[0] and pair[1] < span[1]
        ]
        return [{stage: marks[b] - marks[a] for stage, (a, b) in STAGES.items()} for marks in passed]

    def torch(self) -> int:
        """Count the processes that loaded torch."""
        return sum(looks == 2 for site in self.sites.values() for looks in site.torch.values())

    def _read(self, site: Site) -> None:
        for line in self._new(site.log):
            for mark, words in _LINES.items():
                if words in line:
                    site.marks[mark].append(time.time())
        for line in self._new(site.work):
            record = json.loads(line)
            if record.get("direction") in ("in", "out"):
                site.marks[record["direction"]].append(datetime.fromisoformat(record["time"]).timestamp())

    def _new(self, path: Path) -> list[str]:
        """Give the whole lines that a file has got since the last look."""
        place = self._places.setdefault(path, 0)
        if not path.exists() or path.stat().st_size <= place:
            return []
        with path.open("rb") as file:
            file.seek(place)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._places[path] = place + len(whole)
        return whole.decode(errors="replace").splitlines()
