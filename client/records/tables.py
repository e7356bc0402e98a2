"""Records as two tables, CSV or Parquet: one row for each encounter, and one for each event.

The columns are those of `client.records.contract`, under names of the site's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import Field

from client.records.answers import ABSENT
from client.records.clock import Clock
from client.records.contract import Account, Codebook, Coding, Expansion
from client.records.long_form import OF_ENCOUNTERS, OF_EVENTS, LongForm, OwnNames
from client.records.table_cells import find
from client.records.table_codes import CodeReader
from client.records.table_files import batches, header
from common.errors import CohortError, Problems
from common.toml import Declared, resolve


class TablesSection(Declared):
    """``[records]`` of ``kind = "tables"``.

    Attributes
    ----------
    encounters, events : str
        CSV or Parquet files; relative to the site file.
    columns : dict of str to str
        The files' name of a column, where it is another than that of the contract.
    timezone : str, optional
        See `clock.Clock`.
    absent : tuple of str
        Answers that say that a finding is not there: "SYSTEM code", or a text.
    systems : dict of str to str
        Code system by the files' own name for it.
    """

    kind: Literal["tables"]
    encounters: str
    events: str
    columns: OwnNames = Field(default_factory=dict)
    timezone: str | None = None
    absent: tuple[str, ...] = ABSENT
    systems: dict[str, str] = Field(default_factory=dict)


class TableRecords:
    """The records of two tables; see `contract.Records`."""

    def __init__(self, section: TablesSection, folder: Path) -> None:
        self.codebook = Codebook()
        self.account = Account()
        self._systems = section.systems
        self._form = LongForm(Clock(section.timezone, self.account), self.account, section.absent)
        self._encounters, self._events = (resolve(name, folder) for name in (section.encounters, section.events))
        problems = Problems("records")
        self._encounter_columns = find(header(self._encounters), OF_ENCOUNTERS, section.columns, problems, "encounters")
        self._event_columns = find(header(self._events), OF_EVENTS, section.columns, problems, "events")
        problems.raise_if_any(CohortError)

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every row of the table of encounters."""
        for cells in self._rows(self._encounters, self._encounter_columns):
            yield self._form.encounters(cells, self._encounters.name)

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give the rows of the table of events that have a code that is wanted."""
        reader = CodeReader(self.codebook, self.account, self._systems, wanted)
        for cells in self._rows(self._events, self._event_columns):
            yield self._form.events(cells, self._events.name, reader)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Say that each code stands for itself: tables have no hierarchy."""
        alone = {coding: frozenset({coding}) for coding in codings}
        return Expansion(alone, flat=frozenset(coding.system for coding in codings))

    def _rows(self, path: Path, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
        for batch in batches(path, [*dict.fromkeys(columns.values())]):
            yield {name: batch.column(column) for name, column in columns.items()}


def open_records(section: TablesSection, folder: Path) -> TableRecords:
    """Open two tables.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        A file is missing, cannot be read, or lacks a column.
    ConfigError
        There is no such time zone.
    """
    return TableRecords(section, folder)
