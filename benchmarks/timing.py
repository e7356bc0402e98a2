"""Times two ways of doing the same, in turn, so that both meet the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Seconds of each run of two ways, pair by pair."""

    what: str
    slow: str
    fast: str
    pairs: list[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """Seconds of the first way over those of the second, sorted."""
        return sorted(slow / fast for slow, fast in self.pairs)

    def row(self) -> list[str]:
        """Give a row of the table: medians, and the ratio's median and spread."""
        first, second = (statistics.median(times) for times in zip(*self.pairs, strict=True))
        low, *_, high = self.ratios
        ratio = statistics.median(self.ratios)
        return [
            self.what,
            f"{self.slow}: {first:.3f} s",
            f"{self.fast}: {second:.3f} s",
            f"{ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
        ]


def compare(
    what: str, slow: tuple[str, Callable[[], object]], fast: tuple[str, Callable[[], object]], runs: int
) -> Comparison:
    """Run both ways `runs` times in turn, after one run of each that does not count."""
    pairs = [(_seconds(slow[1]), _seconds(fast[1])) for _ in range(runs + 1)]
    return Comparison(what, slow[0], fast[0], pairs[1:])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
