"""Events of a MEDS data set: a row each, turned batch by batch; a code is looked at once however often it occurs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.records.answers import means_absent
from client.records.clock import Clock
from client.records.contract import EVENTS, Account, Codebook, Coding
from client.records.meds_codes import Codes, read_code
from client.records.meds_encounters import EncounterMarks, name_of
from client.records.meds_files import with_dictionary
from client.records.systems import HIERARCHICAL

NO_CODE = "events without a code: left out"
NO_SYSTEM = "events whose code system is not stated: only seen as local codes"
NOT_FINITE = "numbers that are not finite: taken as none"
LONGEST_CODE = 64  # characters; a longer text is no coded answer
_DAY_BUT_A_TICK = pa.scalar(timedelta(days=1, microseconds=-1), pa.duration("us"))


@dataclass
class EventReader:
    """Turns rows of one data set into events.

    Attributes
    ----------
    marks : EncounterMarks
        Of rows that are no findings but begin or end an encounter.
    others : frozenset of str
        Codes of other rows that are none.
    unit : str or None
        The column of units, None for the one called "unit", if there is one.
    units : mapping of str to str
        Units by code as the data set writes it.
    absent : frozenset of str
        As `answers.fold` gives them.
    midnight_is_day : bool
        A time of 00:00:00 stands for its whole day.
    wanted : frozenset of Coding or None
        Events of other codes are left away; those of ICD stay, as their codes stand for what lies below them.
    """

    codes: Codes
    clock: Clock
    codebook: Codebook
    account: Account
    marks: EncounterMarks
    others: frozenset[str]
    systems: Mapping[str, str]
    unit: str | None
    units: Mapping[str, str]
    absent: frozenset[str]
    midnight_is_day: bool
    wanted: frozenset[Coding] | None
    _entries: dict[str, tuple[int, bool]] = field(default_factory=dict)  # number, -1 for none; system not stated

    def columns(self, there: frozenset[str]) -> list[str]:
        """Give the columns to read of those that a file has."""
        asked = ["subject_id", "time", "code", "numeric_value", "text_value", self.unit or "unit", self.marks.column]
        return [name for name in asked if name in there]

    def read(self, rows: pa.RecordBatch, where: str) -> pa.RecordBatch:
        """Give events of the schema `EVENTS`."""
        entry, unstated = self._numbers(rows["code"])
        rows, entry = rows.filter(pa.array(entry >= 0)), entry[entry >= 0]
        self.account.add(NO_SYSTEM, int(unstated.sum()))
        time = self.clock.local(rows["time"], f'{where}, column "time"')
        answer = self._answers(_column(rows, "text_value", pa.string()))
        number = self._values(_column(rows, "numeric_value", pa.float64()))
        columns = [
            rows["subject_id"].cast(pa.string()),
            name_of(_column(rows, self.marks.column, pa.string()), where),
            time,
            self._until(time),
            pa.array(entry, pa.int32()),
            self._absent(answer),
            number,
            pc.if_else(pc.is_valid(number), self._units(rows), pa.scalar(None, pa.string())),
            answer,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=EVENTS)

    def _numbers(self, codes: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Give the entry of each row's code, -1 for none, and where its system is not stated."""
        self.account.add(NO_CODE, codes.null_count)
        encoded = with_dictionary(codes)
        found = [self._entry(code) for code in encoded.dictionary.to_pylist()]
        index = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        numbers = np.array([*(number for number, _ in found), -1], dtype=np.int64)
        return numbers[index], np.array([*(unstated for _, unstated in found), False], dtype=np.bool_)[index]

    def _entry(self, code: str) -> tuple[int, bool]:
        if code not in self._entries:
            coding = read_code(code, self.systems)
            away = self.wanted is not None and coding not in self.wanted and coding.system not in HIERARCHICAL
            if away or code in self.others or self.marks.kind(code) is not None or self.marks.ends(code):
                self._entries[code] = (-1, False)
            else:
                self._entries[code] = (
                    self.codebook.number([coding], self.codes.texts.get(code, "")),
                    not coding.system,
                )
        return self._entries[code]

    def _until(self, time: Any) -> Any:
        if not self.midnight_is_day:
            return time
        midnight = pc.equal(time, pc.floor_temporal(time, unit="day"))
        return pc.if_else(midnight, pc.add(time, _DAY_BUT_A_TICK), time)

    def _values(self, numbers: Any) -> Any:
        if pa.types.is_float32(numbers.type):
            numbers = numbers.cast(pa.string())  # the shortest text: 38.9 as it was measured, not 38.900001525878906
        numbers = numbers.cast(pa.float64())
        finite = pc.fill_null(pc.is_finite(numbers), True)
        self.account.add(NOT_FINITE, len(numbers) - pc.sum(finite, min_count=0).as_py())
        return pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))

    def _answers(self, texts: Any) -> Any:
        """Give texts, those that are a code of a system that is known as "SYSTEM code"."""
        encoded = with_dictionary(texts)
        written = pa.array([self._answer(text) for text in encoded.dictionary.to_pylist()], pa.string())
        return written.take(encoded.indices)

    def _answer(self, text: str) -> str | None:
        coding = read_code(text, self.systems) if len(text) <= LONGEST_CODE else Coding("", text)
        return f"{coding.system} {coding.code}" if coding.system else text.strip() or None

    def _absent(self, answers: Any) -> Any:
        encoded = with_dictionary(answers)
        means = [means_absent(answer, self.absent) for answer in encoded.dictionary.to_pylist()]
        return pa.array([*means, False]).take(encoded.indices.fill_null(len(means)))

    def _units(self, rows: pa.RecordBatch) -> Any:
        said = _column(rows, self.unit or "unit", pa.string()).cast(pa.string())
        encoded = with_dictionary(rows["code"])
        declared = pa.array([self.units.get(code) for code in encoded.dictionary.to_pylist()], pa.string())
        return pc.coalesce(said, declared.take(encoded.indices))


def _column(rows: pa.RecordBatch, name: str | None, kind: Any) -> Any:
    """Give a column; nulls where there is none."""
    if name is None or name not in rows.schema.names:
        return pa.nulls(rows.num_rows, kind)
    column = rows[name]
    return column.cast(kind) if pa.types.is_null(column.type) else column
