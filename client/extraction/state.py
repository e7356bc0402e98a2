"""What is remembered of events while they are read: no more than what can still decide, in any order of reading.

Letters: N encounters, S slots: a slot is one thing that an event can say of an encounter, such as "fever is present".
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).max
Take: TypeAlias = Literal["highest", "lowest", "first", "last"]

_PENDING = 2_000_000  # entries before they are folded in, at least

_Numbers = NDArray[np.int64]


class Earliest:
    """The earliest time at which each slot of each encounter was said, for those that were said at all.

    Parameters
    ----------
    encounters : int
        N.
    """

    def __init__(self, encounters: int) -> None:
        self._encounters = encounters
        self._keys, self._times = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        self._pending: list[tuple[_Numbers, _Numbers]] = []
        self._waiting = 0

    def add(self, slot: int | _Numbers, encounter: _Numbers, time: _Numbers) -> None:
        """Say a slot of encounters; all int64 (P,), or one slot for all."""
        self._pending.append((slot * np.int64(self._encounters) + encounter, time))
        self._waiting += len(time)
        if self._waiting > max(_PENDING, len(self._keys)):
            self._fold()

    def slot(self, slot: int) -> _Numbers:
        """Give the earliest time for every encounter, int64 (N,); `NEVER` where it was not said."""
        encounter, time = self.said(slot)
        times = np.full(self._encounters, NEVER)
        times[encounter] = time
        return times

    def said(self, slot: int) -> tuple[_Numbers, _Numbers]:
        """Give the encounters of which a slot was said, and the earliest time of each."""
        self._fold()
        start, stop = np.searchsorted(self._keys, [slot * self._encounters, (slot + 1) * self._encounters])
        return self._keys[start:stop] - slot * self._encounters, self._times[start:stop]

    def _fold(self) -> None:
        if not self._pending:
            return
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
        times = np.concatenate([self._times, *(times for _, times in self._pending)])
        order = np.lexsort((times, keys))
        keys, times = keys[order], times[order]
        first = np.append(True, keys[1:] != keys[:-1]) if len(keys) else np.empty(0, dtype=np.bool_)
        self._keys, self._times = keys[first], times[first]
        self._pending, self._waiting = [], 0


class Readings:
    """The numbers of each encounter that may still be the one taken, whatever the label's time will be.

    Parameters
    ----------
    take : {"highest", "lowest", "first", "last"}
    """

    def __init__(self, encounters: int, take: Take) -> None:
        self._encounters, self._take = encounters, take
        self._encounter, self._time = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        self._number = np.empty(0)
        self._pending: list[tuple[_Numbers, _Numbers, NDArray[np.float64]]] = []
        self._waiting = 0

    def add(self, encounter: _Numbers, time: _Numbers, number: NDArray[np.float64]) -> None:
        """Add numbers of encounters at times, (P,) each."""
        self._pending.append((encounter, time, number))
        self._waiting += len(time)
        if self._waiting > max(_PENDING, len(self._time)):
            self._fold()

    def take(self, latest: _Numbers) -> NDArray[np.float64]:
        """Give one number for each encounter, of those until `latest`, int64 (N,); float64 (N,), NaN for none."""
        self._fold()
        kept = self._time <= latest[self._encounter]
        encounter, number = self._encounter[kept], self._number[kept]
        taken = np.full(self._encounters, np.nan)
        taken[encounter] = number  # in order of time: what is written last stays, of "first" there is one
        return taken

    def _fold(self) -> None:
        """Sort by encounter and time, and drop what a number at the same time or earlier outdoes."""
        if not self._pending:
            return
        encounter = np.concatenate([self._encounter, *(part[0] for part in self._pending)])
        time = np.concatenate([self._time, *(part[1] for part in self._pending)])
        number = np.concatenate([self._number, *(part[2] for part in self._pending)])
        best_first = number if self._take == "lowest" else -number
        order = np.lexsort((best_first, time, encounter))
        encounter, time, number = encounter[order], time[order], number[order]
        kept = self._needed(encounter, time, number)
        self._encounter, self._time, self._number = encounter[kept], time[kept], number[kept]
        self._pending, self._waiting = [], 0

    def _needed(self, encounter: _Numbers, time: _Numbers, number: NDArray[np.float64]) -> NDArray[np.bool_]:
        new = np.append(True, encounter[1:] != encounter[:-1]) if len(encounter) else np.empty(0, dtype=np.bool_)
        if self._take == "first":
            return new
        if self._take == "last":
            later: NDArray[np.bool_] = new | np.append(True, time[1:] != time[:-1])[: len(new)]
            return later
        signed = number if self._take == "highest" else -number
        ranks = np.unique(signed, return_inverse=True)[1] + encounter * (len(signed) + 1)
        best = np.maximum.accumulate(ranks)  # of this encounter so far: its first number begins anew
        better: NDArray[np.bool_] = new | np.append(True, best[1:] > best[:-1])[: len(new)]
        return better
