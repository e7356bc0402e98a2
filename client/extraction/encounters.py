"""The encounters that a definition takes, but for what their events say.

Letters: N encounters of a batch or of the cohort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.extraction.attrition import (
    AGE,
    BACKWARDS,
    DATES,
    FIRST,
    KIND,
    NO_END,
    NO_ID,
    NO_PATIENT,
    NO_START,
    TWICE,
    Attrition,
)
from client.extraction.definition import END, Definition, Index
from client.extraction.lookup import Lookup
from client.extraction.measures import OLDEST
from client.records.contract import ENCOUNTERS, Account, Records
from common.errors import CohortError

UNKNOWN_AGE = -1
_NO_AGE = "births not known, after an encounter's start, or more than 150 years before: age taken as unknown"
_BY = [("patient", "ascending"), ("start", "ascending"), ("encounter", "ascending")]

Told = Callable[[int], None]  # how many rows were read


@dataclass(frozen=True, eq=False)
class Chosen:
    """Encounters, sorted by patient, start and id.

    Attributes
    ----------
    encounter, patient : Arrow array of text (N,)
    start, end : int64 array (N,)
        Microseconds since 1970; the end is that of the start where it is not known.
    age : int16 array (N,)
        Whole years at the start; `UNKNOWN_AGE`.
    """

    encounter: pa.Array
    patient: pa.Array
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    age: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, kept: NDArray[np.bool_]) -> Chosen:
        """Keep the encounters where `kept`, bool (N,), is true."""
        mask = pa.array(kept)
        ids = self.encounter.filter(mask), self.patient.filter(mask)
        return Chosen(*ids, self.start[kept], self.end[kept], self.age[kept])


def choose(definition: Definition, records: Records, attrition: Attrition, told: Told) -> Chosen:
    """Read encounters and keep those of the definition's kinds, dates and ages, each once.

    Raises
    ------
    CohortError
        An id names two different encounters.
    """
    rule, ends = definition.index, definition.window.after == END
    parts = []
    for batch in records.encounters():
        parts.append(_filter(batch, rule, ends, attrition, records.account))
        told(batch.num_rows)
    kept = pa.Table.from_batches(parts, ENCOUNTERS).combine_chunks()
    kept = _once(kept, attrition)
    _refuse_others_of_the_same_id(kept, records, told)
    kept = kept.sort_by(_BY).combine_chunks()
    age = _ages(kept["start"], kept["birth"])
    counted = bool(definition.ages) | ~_null(kept["birth"])  # a birth that is not asked for may lack
    records.account.add(_NO_AGE, int(((age == UNKNOWN_AGE) & counted).sum()))
    chosen = _chosen(kept, age)
    if not rule.first or len(chosen) == 0:
        return chosen
    first = np.append(True, _differs(kept["patient"]))
    return chosen.take(attrition.keep(FIRST, first, np.ones(len(chosen), dtype=np.bool_)))


def _filter(batch: pa.RecordBatch, rule: Index, ends: bool, attrition: Attrition, account: Account) -> pa.RecordBatch:
    """Keep the encounters of a batch that can be used and that the definition asks for."""
    attrition.read += batch.num_rows
    start, end = _ticks(batch["start"]), _ticks(batch["end"])
    open_end = _null(batch["end"])
    kept = np.ones(batch.num_rows, dtype=np.bool_)
    kept = attrition.keep(NO_ID, ~_null(batch["encounter"]), kept)
    kept = attrition.keep(NO_PATIENT, ~_null(batch["patient"]), kept)
    kept = attrition.keep(NO_START, ~_null(batch["start"]), kept)
    kept = attrition.keep(BACKWARDS, open_end | (end >= start), kept)
    if ends:
        kept = attrition.keep(NO_END, ~open_end, kept)
    if rule.kinds is not None:
        named = pc.is_in(batch["kind"], value_set=pa.array(rule.kinds)).to_numpy(zero_copy_only=False)
        kept = attrition.keep(KIND, named, kept)
    days = start.astype("M8[us]").astype("M8[D]")
    early = days < np.datetime64(rule.since) if rule.since else np.zeros_like(kept)
    late = days >= np.datetime64(rule.before) if rule.before else np.zeros_like(kept)
    kept = attrition.keep(DATES, ~(early | late), kept)
    if rule.age is not None:
        age = _ages(batch["start"], batch["birth"])
        account.add(_NO_AGE, int((kept & (age == UNKNOWN_AGE)).sum()))
        kept = attrition.keep(AGE, (age >= rule.age[0]) & (age <= rule.age[1]), kept)
    return batch.filter(pa.array(kept))


def _once(kept: pa.Table, attrition: Attrition) -> pa.Table:
    """Keep one of encounters that are alike in every field."""
    kept = kept.sort_by("encounter").combine_chunks()
    if kept.num_rows < 2:
        return kept
    same_id = ~_differs(kept["encounter"])
    other = np.zeros_like(same_id)
    for name in ENCOUNTERS.names[1:]:
        other |= _differs(kept[name])
    _refuse_two(int((same_id & other).sum()))
    mask = np.append(True, ~same_id)
    return kept.filter(pa.array(attrition.keep(TWICE, mask, np.ones_like(mask))))


def _refuse_others_of_the_same_id(kept: pa.Table, records: Records, told: Told) -> None:
    """Read all encounters again: one that was left out may have the id of one that was not, and say otherwise.

    So nothing is remembered of encounters outside the cohort. What is odd in the records is counted once.
    """
    if kept.num_rows == 0:
        return
    lookup = Lookup(kept["encounter"].combine_chunks())
    counts = dict(records.account.counts)
    conflicts = 0
    for batch in records.encounters():
        position = lookup.find(batch["encounter"])
        among = pa.array(position >= 0)
        again, known = batch.filter(among), kept.take(pa.array(position[position >= 0]))
        other = np.zeros(again.num_rows, dtype=np.bool_)
        for name in ENCOUNTERS.names[1:]:
            other |= _unlike(again[name], known[name])
        conflicts += int(other.sum())
        told(0)
    records.account.counts.clear()
    records.account.counts.update(counts)
    _refuse_two(conflicts)


def _refuse_two(conflicts: int) -> None:
    if conflicts:
        raise CohortError(
            f"encounters: {conflicts} have an id that another encounter has, which differs in patient, time, kind or "
            "birth; an id names one encounter: correct the records, or read a view that gives each encounter once"
        )


def _chosen(kept: pa.Table, age: NDArray[np.int16]) -> Chosen:
    start, end = _ticks(kept["start"]), _ticks(kept["end"])
    encounter, patient = (kept[name].combine_chunks() for name in ("encounter", "patient"))
    return Chosen(encounter, patient, start, np.where(_null(kept["end"]), start, end), age)


def _ages(start: Any, birth: Any) -> NDArray[np.int16]:
    """Give whole years from birth to start; who was born on 29 February is a year older on 1 March."""
    missing = _null(birth) | _null(start)
    first, last = _month_day(birth), _month_day(start)
    years = last[0] - first[0] - (last[1] < first[1])
    possible = ~missing & (years >= 0) & (years <= OLDEST[1])
    return np.where(possible, years, UNKNOWN_AGE).astype(np.int16)


def _month_day(times: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the year of each time, and its month and day as a number that grows through the year."""
    stamps = _ticks(times).astype("M8[us]")
    years, months, days = (stamps.astype(f"M8[{unit}]") for unit in "YMD")
    month = (months - years.astype("M8[M]")).astype(np.int64)
    return years.astype(np.int64), 100 * month + (days - months.astype("M8[D]")).astype(np.int64)


def _ticks(times: Any) -> NDArray[np.int64]:
    """Give microseconds since 1970, int64 (N,); 0 where null."""
    ticks: NDArray[np.int64] = times.cast(pa.int64()).fill_null(0).to_numpy()
    return ticks


def _null(values: Any) -> NDArray[np.bool_]:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    null: NDArray[np.bool_] = pc.is_null(values).to_numpy(zero_copy_only=False)
    return null


def _differs(values: Any) -> NDArray[np.bool_]:
    """Say of each value but the first whether it differs from the one before, bool (N - 1,)."""
    return _unlike(values.slice(1), values.slice(0, len(values) - 1))


def _unlike(values: Any, others: Any) -> NDArray[np.bool_]:
    """Compare two arrays, bool (N,): null is like null alone."""
    values, others = (v.combine_chunks() if isinstance(v, pa.ChunkedArray) else v for v in (values, others))
    unequal = pc.fill_null(pc.not_equal(values, others), False).to_numpy(zero_copy_only=False)
    differs: NDArray[np.bool_] = unequal | (_null(values) != _null(others))
    return differs
