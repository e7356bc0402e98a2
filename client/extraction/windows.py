"""Which encounters an event belongs to: its patient's, if the event's time meets their window.

Letters: N encounters, sorted by patient and start; E events of a batch; P pairs of an event and an encounter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.extraction.definition import END, Window
from client.extraction.durations import parse_duration
from client.extraction.encounters import Chosen
from client.extraction.lookup import Lookup

MOST_PAIRS = 2_000_000  # at a time, before those outside the window are dropped

_Numbers = NDArray[np.int64]


class Windows:
    """The windows of a cohort's encounters.

    Attributes
    ----------
    elsewhere : int
        Events in an encounter's window that name another encounter, so far.
    met : bool
        Whether some event so far was of a patient who has an encounter.
    """

    def __init__(self, chosen: Chosen, window: Window) -> None:
        self.elsewhere, self.met = 0, False
        self._encounter = chosen.encounter
        self.opens = chosen.start - parse_duration(window.before)
        ends = chosen.end if window.after == END else chosen.start + parse_duration(window.after)
        self.closes = ends
        patients = chosen.patient.dictionary_encode()  # sorted, so that a patient's encounters lie together
        number = patients.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self._patients = Lookup(patients.dictionary)
        self._moments = np.unique(self.opens)
        self._opens_at = self._key(number, np.searchsorted(self._moments, self.opens))  # rises with the encounters
        latest = _rising(number, ends)  # of this and the patient's earlier encounters, so that it rises, too
        self._ends = np.unique(latest)
        self._latest_at = number * (len(self._ends) + 1) + np.searchsorted(self._ends, latest)

    def pairs(self, events: pa.RecordBatch) -> Iterator[tuple[_Numbers, _Numbers]]:
        """Give the rows of events and the encounters that they belong to, int64 (P,) each, some at a time.

        Parameters
        ----------
        events : record batch of `EVENTS`
            With patient, time and until.
        """
        patient = self._patients.find(events["patient"])
        rows = np.flatnonzero(patient >= 0)
        if len(rows) == 0:
            return
        self.met = True
        time, until = (events[name].cast(pa.int64()).to_numpy()[rows] for name in ("time", "until"))
        patient = patient[rows]
        low = np.searchsorted(
            self._latest_at, patient * (len(self._ends) + 1) + np.searchsorted(self._ends, time, side="left")
        )
        opened = np.searchsorted(self._moments, until, side="right")  # windows open at `until` or before
        high = np.searchsorted(self._opens_at, self._key(patient, opened), side="left")
        counts = np.maximum(high - low, 0)
        for part in _parts(counts):
            yield self._exact(events, rows[part], low[part], counts[part], time[part])

    def _exact(
        self, events: pa.RecordBatch, rows: _Numbers, low: _Numbers, counts: _Numbers, time: _Numbers
    ) -> tuple[_Numbers, _Numbers]:
        """Expand candidates, and drop those whose window has closed or that are not the encounter the event names."""
        before = np.cumsum(counts) - counts
        encounter = np.arange(int(counts.sum())) - np.repeat(before - low, counts)
        row = np.repeat(rows, counts)
        meets = self.closes[encounter] >= np.repeat(time, counts)
        row, encounter = row[meets], encounter[meets]
        named = events["encounter"].take(pa.array(row))
        same = pc.fill_null(pc.equal(named, self._encounter.take(pa.array(encounter))), True)
        kept = same.to_numpy(zero_copy_only=False)
        self.elsewhere += len(np.setdiff1d(row[~kept], row[kept]))
        return row[kept], encounter[kept]

    def _key(self, patient: _Numbers, rank: _Numbers) -> _Numbers:
        """Give one number that orders by patient and then by rank among the moments."""
        return patient * (len(self._moments) + 1) + rank


def _rising(number: _Numbers, values: _Numbers) -> _Numbers:
    """Give for each encounter the highest value so far of the same patient, int64 (N,)."""
    if len(values) == 0:
        return values
    order = np.unique(values, return_inverse=True)
    ranks = number * len(order[0]) + order[1]
    return order[0][np.maximum.accumulate(ranks) - number * len(order[0])]


def _parts(counts: _Numbers) -> Iterator[slice]:
    """Cut rows into runs of at most `MOST_PAIRS` pairs, or of one row."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + MOST_PAIRS, side="right")))
        yield slice(start, stop)
        start = stop
