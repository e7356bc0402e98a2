"""The first reading of an export: the births of its patients, the types of resources in a file, and broken lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.records.clock import TIME, Clock, Moments
from client.records.contract import Account
from client.records.fhir_lines import Faults, Resource, lines, parse, types_of
from client.records.fhir_parts import MalformedError, word
from common.errors import CohortError

CHUNK = 50_000  # patients
VAGUE_BIRTH = "births known by month or year only: taken as its first day"
NO_ID = 'a Patient without an "id":'
NO_BIRTH = '"birthDate" cannot be read; expected such as "1950-03-05", "1950-03" or "1950":'
_DAY = pa.scalar(timedelta(days=1), pa.duration("us"))
_Chunk: TypeAlias = tuple[NDArray[np.bytes_], NDArray[np.datetime64]]


class Births:
    """The births of an export's patients: as many bytes as the longest id and eight, for each patient.

    Parameters
    ----------
    chunks : iterable of (bytes array (N,), datetime64[us] array (N,))
        Ids of patients and their births; NaT where not known.

    Raises
    ------
    CohortError
        A patient is written more than once, with different births.
    """

    def __init__(self, chunks: Iterable[_Chunk]) -> None:
        ids: list[NDArray[np.bytes_]] = [np.empty(0, "S1")]
        births: list[NDArray[np.datetime64]] = [np.empty(0, "M8[us]")]
        for chunk_ids, chunk_births in chunks:
            ids.append(chunk_ids)
            births.append(chunk_births)
        joined, times = np.concatenate(ids), np.concatenate(births)
        order = np.argsort(joined, kind="stable")
        self._ids, self._births = joined[order], times[order]
        same = self._ids[1:] == self._ids[:-1]
        differ = self._births[1:].view(np.int64) != self._births[:-1].view(np.int64)
        if count := int((same & differ).sum()):
            raise CohortError(f"{count} patients are written more than once, with different births; export them again")

    def of(self, patients: list[str | None]) -> Any:
        """Give the birth of each patient, null where not known, as an Arrow array of timestamp("us")."""
        if not len(self._ids):
            return pa.nulls(len(patients), TIME)
        asked = np.array([(patient or "").encode() for patient in patients], dtype=np.bytes_)
        place = np.minimum(np.searchsorted(self._ids, asked), len(self._ids) - 1)
        known = self._ids[place] == asked
        return pa.array(np.where(known, self._births[place], np.datetime64("NaT", "us")), TIME)


class Survey:
    """Reads a file for the first time.

    Attributes
    ----------
    held : set of str
        Types of resources that were met, those within others included.
    others : int
        Resources of none of the types `read`.
    """

    def __init__(self, path: Path, read: frozenset[str]) -> None:
        self.held: set[str] = set()
        self.others = 0
        self._path = path
        self._read = read
        self._faults = Faults(path)
        self._patients: list[tuple[int, str, str | None]] = []  # line, id, birth as written

    def births(self, clock: Clock, account: Account) -> Iterator[_Chunk]:
        """Give what `Births` wants of the patients in the file.

        Raises
        ------
        CohortError
            The file cannot be read to its end, or a line is broken; says which.
        """
        number, line, skipped = 0, b"", False
        for number, line in lines(self._path):
            types = types_of(line)
            skipped = bool(types) and "Patient" not in types and "Bundle" not in types
            if skipped:
                self._note(types)
            else:
                self._take(number, parse(line, number, self._faults))
            if len(self._patients) == CHUNK:
                yield self._chunk(clock, account)
        if skipped:
            parse(line, number, self._faults)  # the last line is the one that may be cut
        yield self._chunk(clock, account)
        self._faults.raise_if_any()

    def _note(self, types: list[str]) -> None:
        self.held.update(types)
        self.others += self._read.isdisjoint(types)

    def _take(self, number: int, resource: Resource | None) -> None:
        if resource is None:
            return
        self._note([resource["resourceType"]])
        if resource["resourceType"] != "Patient":
            return
        try:
            patient, birth = word(resource, "id"), word(resource, "birthDate")
        except MalformedError as malformed:
            self._faults.add(str(malformed), number)
            return
        if patient is None:
            self._faults.add(NO_ID, number)
            return
        self._patients.append((number, patient, birth))

    def _chunk(self, clock: Clock, account: Account) -> _Chunk:
        patients, self._patients = self._patients, []
        read = clock.read(pa.array([written for _, _, written in patients], pa.string()))
        for index in read.unreadable.nonzero()[0]:
            self._faults.add(NO_BIRTH, patients[index][0])
        account.add(VAGUE_BIRTH, pc.sum(vague(read)).as_py() or 0)
        ids = np.array([patient.encode() for _, patient, _ in patients], dtype=np.bytes_)
        return ids, read.time.to_numpy(zero_copy_only=False)


def vague(times: Moments) -> Any:
    """Say of which times not even the day is known, as an Arrow array of booleans."""
    return pc.fill_null(pc.greater_equal(pc.subtract(times.until, times.time), _DAY), False)
