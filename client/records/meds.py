"""A MEDS data set: a folder with events in ``data/**/*.parquet`` and the words of codes in ``metadata/codes.parquet``.

Written against version 0.4 of the standard (https://github.com/Medical-Event-Data-Standard/meds). Of its promises one
is needed, and checked: that a subject is in one file only. Memory grows by the encounters of the largest file, and by
eight bytes for each patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pydantic import Field

from client.records import meds_encounters
from client.records.answers import ABSENT, fold
from client.records.clock import Clock
from client.records.contract import Account, Codebook, Coding, Expansion
from client.records.meds_codes import Codes
from client.records.meds_encounters import IDLE, EncounterMarks, find_births, name_of, pair
from client.records.meds_events import EventReader
from client.records.meds_files import BATCH, batches, columns_of, shards, with_dictionary
from common.errors import CohortError
from common.toml import Declared, resolve


class MedsSection(Declared):
    """``[records]`` of ``kind = "meds"``.

    Attributes
    ----------
    folder : str
        Of the data set; relative to the site file.
    encounters : EncounterMarks
    timezone : str, optional
        See `clock.Clock`.
    birth, death : str
        Codes that are no findings.
    absent : tuple of str
        Texts that say that a finding is not there; "SYSTEM code" or words.
    unit : str, optional
        Column of the units of numbers; "unit" if there is such a column.
    units : dict of str to str
        Unit of a code's numbers, by code as the data set writes it, where no column says it.
    systems : dict of str to str
        Code system by the site's own prefix, such as ``"DIAGNOSIS//ICD//10" = "ICD10CM"``.
    midnight : str
        What 00:00:00 means: an hour as any other, or a day whose hour is not known.
    """

    kind: Literal["meds"]
    folder: str
    encounters: EncounterMarks
    timezone: str | None = None
    birth: str = "MEDS_BIRTH"
    death: str = "MEDS_DEATH"
    absent: tuple[str, ...] = ABSENT
    unit: str | None = None
    units: dict[str, str] = Field(default_factory=dict)
    systems: dict[str, str] = Field(default_factory=dict)
    midnight: Literal["hour", "day"] = "hour"


class MedsRecords:
    """The records of a MEDS data set; see `contract.Records`."""

    def __init__(self, section: MedsSection, folder: Path) -> None:
        self.codebook = Codebook()
        self.account = Account()
        self._section = section
        self._clock = Clock(section.timezone, self.account)
        self._codes = Codes(folder / "metadata" / "codes.parquet", section.systems)
        self._files = shards(folder)
        self._started: set[str] = set()  # codes met that begin an encounter
        named = [name for name in (section.encounters.column, section.unit) if name is not None]
        self._columns = {path: columns_of(path, named) for path in self._files}

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every encounter that a code begins."""
        subjects: list[NDArray[np.int64]] = []
        for path in self._files:
            yield from self._encounters_of(path, subjects)
        self.account.add(IDLE, self._section.encounters.idle(self._started))
        joined = np.concatenate(subjects)
        if count := len(joined) - len(np.unique(joined)):
            raise CohortError(f"data/: {count} subjects are in more than one file, which MEDS forbids; write it again")

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give all other events."""
        section = self._section
        reader = EventReader(
            self._codes,
            self._clock,
            self.codebook,
            self.account,
            marks=section.encounters,
            others=frozenset({section.birth, section.death}),
            systems=section.systems,
            unit=section.unit,
            units=section.units,
            absent=fold(section.absent),
            midnight_is_day=section.midnight == "day",
            wanted=wanted,
        )
        for path in self._files:
            for rows in batches(path, reader.columns(self._columns[path])):
                yield reader.read(rows, path.name)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Give what lies below each code by ``parent_codes``."""
        return self._codes.expand(codings)

    def _encounters_of(self, path: Path, subjects: list[NDArray[np.int64]]) -> Iterator[pa.RecordBatch]:
        column = self._section.encounters.column
        names = ["subject_id", "time", "code", *([column] if column else [])]
        seen, found = np.empty(0, dtype=np.int64), []
        for rows in batches(path, names):
            seen = np.union1d(seen, rows["subject_id"].drop_null().cast(pa.int64()).to_numpy())
            found.append(self._marked(rows, path))
        subjects.append(seen)
        if not found:
            return
        marked = pd.concat(found)
        births = find_births(marked.loc[marked["role"] == "birth", ["subject", "time"]], path)
        starts, ends = marked[marked["role"] == "start"], marked[marked["role"] == "end"]
        rows = pair(starts, ends, column is not None, self.account)
        for first in range(0, len(rows), BATCH):
            yield meds_encounters.batch(rows.iloc[first : first + BATCH], births)

    def _marked(self, rows: pa.RecordBatch, path: Path) -> pd.DataFrame:
        """Give the rows that say a birth, a start or an end of an encounter."""
        marks, column = self._section.encounters, self._section.encounters.column
        written = with_dictionary(rows["code"])
        codes = written.dictionary.to_pylist()
        kinds = [marks.kind(code) for code in codes]
        self._started |= {code for code, kind in zip(codes, kinds, strict=True) if kind is not None}
        roles = [self._role(code, kind) for code, kind in zip(codes, kinds, strict=True)]
        role = pa.array(roles, pa.string()).take(written.indices)
        rows = rows.append_column("role", role).append_column(
            "kind", pa.array(kinds, pa.string()).take(written.indices)
        )
        rows = rows.filter(pc.is_valid(role))
        names = name_of(rows[column], path.name) if column else pa.nulls(rows.num_rows, pa.string())
        time = self._clock.local(rows["time"], f'{path.name}, column "time"')
        columns = {"subject": rows["subject_id"].cast(pa.string()), "time": time, "encounter": names}
        columns |= {"code": rows["code"].cast(pa.string()), "kind": rows["kind"], "role": rows["role"]}
        marked: pd.DataFrame = pa.table(columns).to_pandas()
        return marked

    def _role(self, code: str, kind: str | None) -> str | None:
        if code == self._section.birth:
            return "birth"
        ends = "end" if self._section.encounters.ends(code) else None
        return "start" if kind is not None else ends


def open_records(section: MedsSection, folder: Path) -> MedsRecords:
    """Open a data set.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        The folder holds no data set, or columns that MEDS does not know so.
    ConfigError
        There is no such time zone.
    """
    return MedsRecords(section, resolve(section.folder, folder))
