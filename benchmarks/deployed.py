"""A deployed round: Sitebridge beside the same model in Flower's usual form, in turn, on the same servers.

Both train one short epoch a round at two hospitals, over TLS and with keys. Sitebridge's message carries training and
the score of the model that came; Flower's FedAvg sends one message to train and, by default, another one to evaluate.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.loopback import SITES, USUAL, Loopback
from benchmarks.marks import Site, Watch
from client.preparation import prepare
from client.site_file import load_site
from common.tasks import Embedding

ENCOUNTERS = 5000
OURS, TRAIN, BOTH = "Sitebridge", "usual: train", "usual: train, evaluate"
ROUNDS = {OURS: 5, TRAIN: 3, BOTH: 3}  # the first one of each does not count


@dataclass
class Way:
    """What was seen of one way, turn by turn."""

    watches: list[Watch] = field(default_factory=list)

    @property
    def walls(self) -> list[float]:
        """Seconds of a round, the median of each turn."""
        return [statistics.median(watch.walls()) for watch in self.watches]

    @property
    def cpu(self) -> list[float]:
        """CPU seconds of a site for a message, the mean of each turn."""
        return [watch.cpu_of_message() for watch in self.watches]

    @property
    def cpu_of_round(self) -> list[float]:
        """CPU seconds of a site for a round, the mean of each turn."""
        return [watch.cpu_of_round() for watch in self.watches]


@dataclass
class Deployed:
    """All that was measured.

    Attributes
    ----------
    accounts : list of (float, float)
        Of each time that sites were ended: CPU seconds counted before, and those that the kernel gave at their end.
    """

    ways: dict[str, Way]
    accounts: list[tuple[float, float]]
    seconds: float = 0.0
    load: float = field(default_factory=lambda: os.getloadavg()[0])  # of others, before the first turn


def deployed(turns: int) -> Deployed:
    """Measure all ways, in turn."""
    begun = time.monotonic()
    found = Deployed({name: Way() for name in ROUNDS}, [])
    with _coordinator() as loopback:
        for turn in range(turns):
            loopback.ours_up()
            found.ways[OURS].watches.append(ours(loopback, ROUNDS[OURS], f"ours-{turn}"))
            found.accounts.append(_down(loopback, SITES))
            loopback.usual_up()
            for way, evaluate in ((TRAIN, False), (BOTH, True)):
                found.ways[way].watches.append(usual(loopback, ROUNDS[way], evaluate, f"usual-{turn}-{evaluate:d}"))
            found.accounts.append(_down(loopback, USUAL))
    found.seconds = time.monotonic() - begun
    return found


@dataclass(frozen=True)
class Poll:
    """What one interval of the SuperExec's polls brings: of all turns, and CPU seconds of an idle site per second."""

    way: str
    interval: float
    watches: list[Watch]
    idle: list[float]


def polls(turns: int, intervals: Sequence[float] = (0.1, 0.25, 1.0), idle: float = 10.0) -> list[Poll]:
    """Measure Flower's one public interval, in turn: at Sitebridge's sites, and the shortest in the usual form too."""
    found = [Poll(OURS, interval, [], []) for interval in intervals] + [Poll(TRAIN, 0.1, [], [])]
    with _coordinator() as loopback:
        for turn in range(turns):
            for number, poll in enumerate(found):
                is_ours, name = poll.way == OURS, f"poll-{turn}-{number}"
                names = SITES if is_ours else USUAL
                (loopback.ours_up if is_ours else loopback.usual_up)(poll.interval)
                before = loopback.cpu(names)
                time.sleep(idle)
                poll.idle.append((loopback.cpu(names) - before) / idle / len(names))
                poll.watches.append(ours(loopback, 4, name) if is_ours else usual(loopback, 3, False, name))
                _down(loopback, names)
    return found


def ours(loopback: Loopback, rounds: int, name: str) -> Watch:
    """Run rounds of Sitebridge's, to the end of the run."""

    def site(name: str) -> Site:
        folder = loopback.folder / name
        root = loopback.running[name].pid
        return Site(root, folder / "relay" / "supernode.log", folder / "agent" / "audit.jsonl")

    sites = {name: site(name) for name in SITES}
    watch = Watch(sites, lambda: loopback.cpu(SITES))
    watch.until(loopback.run_ours(rounds, name), rounds)
    loopback.finish(name)
    return watch


def usual(loopback: Loopback, rounds: int, evaluate: bool, name: str) -> Watch:
    """Run rounds of the usual form."""

    def site(name: str) -> Site:
        return Site(loopback.running[name].pid, loopback.folder / f"{name}.out", loopback.folder / f"{name}.stamps")

    watch = Watch({name: site(name) for name in USUAL}, lambda: loopback.cpu(USUAL))
    watch.until(loopback.run_usual(rounds, evaluate, name), rounds)
    return watch


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Divide turn by turn."""
    return [a / b for a, b in zip(first, second, strict=True)]


def medians(watches: Sequence[Watch], stage: str) -> float:
    """Give the median seconds of a stage over all counted messages."""
    return statistics.median(stages[stage] for watch in watches for stages in watch.stages())


@contextmanager
def _coordinator() -> Iterator[Loopback]:
    """Give a coordinator with all nodes registered, and the arrays on which the usual form trains."""
    with tempfile.TemporaryDirectory() as folder:
        loopback = Loopback(Path(folder), ENCOUNTERS)
        try:
            loopback.begin()
            _save_arrays(loopback.folder)
            yield loopback
        finally:
            loopback.end()


def _down(loopback: Loopback, names: Sequence[str]) -> tuple[float, float]:
    return loopback.cpu(names), loopback.down(names)


def _save_arrays(folder: Path) -> None:
    """Write what the usual form trains on, so that reading a table of encounters does not count."""
    embedding = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
    for site, name in zip(SITES, USUAL, strict=True):
        data = prepare(load_site(folder / "hospitals" / f"{site}.toml"), embedding)
        arrays = {"table": data.table.numpy()}
        for split, encounters in data.splits.items():
            arrays |= {f"{split}.tokens": encounters.tokens.numpy(), f"{split}.labels": encounters.labels.numpy()}
        np.savez(folder / f"{name}.npz", **arrays)
