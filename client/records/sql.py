"""Records in a database, by two views or queries: one row for each encounter, and one for each event.

Their columns are those of `client.records.contract`, under names of the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import Field, field_validator

from client.records.answers import ABSENT
from client.records.clock import Clock
from client.records.contract import Account, Codebook, Coding, Expansion
from client.records.database import Database
from client.records.database_urls import DatabaseSection
from client.records.long_form import OF_ENCOUNTERS, OF_EVENTS, LongForm, OwnNames
from client.records.table_cells import find
from client.records.table_codes import CodeReader
from common.errors import CohortError, Problems

if TYPE_CHECKING:
    from sqlalchemy import FromClause

_NAME = re.compile(r"(?:(?P<schema>\w+)\.)?(?P<name>\w+)")
_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class SqlSection(DatabaseSection):
    """``[records]`` of ``kind = "sql"``.

    Attributes
    ----------
    encounters, events : str
        The name of a view or table, with a schema or without; or a query, one that can stand in brackets.
    columns : dict of str to str
        The database's name of a column, where it is another than that of the contract.
    timezone : str, optional
        See `clock.Clock`.
    absent : tuple of str
        Answers that say that a finding is not there: "SYSTEM code", or a text.
    systems : dict of str to str
        Code system by the database's own name for it.
    """

    kind: Literal["sql"]
    encounters: str
    events: str
    columns: OwnNames = Field(default_factory=dict)
    timezone: str | None = None
    absent: tuple[str, ...] = ABSENT
    systems: dict[str, str] = Field(default_factory=dict)

    @field_validator("encounters", "events")
    @classmethod
    def _view_or_query(cls, value: str) -> str:
        if not (_NAME.fullmatch(value) or _QUERY.match(value)):
            raise ValueError("expected the name of a view, or a query that begins with SELECT or WITH")
        return value


class SqlRecords:
    """The records of two views or queries; see `contract.Records`."""

    def __init__(self, section: SqlSection, folder: Path) -> None:
        self.codebook = Codebook()
        self.account = Account()
        self._systems = section.systems
        self._form = LongForm(Clock(section.timezone, self.account), self.account, section.absent)
        self._database = Database(section, folder)
        self._sources = {name: _source(getattr(section, name)) for name in ("encounters", "events")}
        needed = {"encounters": OF_ENCOUNTERS, "events": OF_EVENTS}
        problems = Problems("records")
        self._columns = {}
        for name, source in self._sources.items():
            there = self._database.columns(source, _key(name))
            found = find(there, needed[name], section.columns, problems, name)
            self._columns[name] = {meant: there[there.index(own)] for meant, own in found.items()}
        problems.raise_if_any(CohortError)

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every row of the view of encounters."""
        for cells in self._rows("encounters"):
            yield self._form.encounters(cells, _key("encounters"))

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give the rows of the view of events that have a code that is wanted."""
        reader = CodeReader(self.codebook, self.account, self._systems, wanted)
        for cells in self._rows("events"):
            yield self._form.events(cells, _key("events"), reader)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Say that each code stands for itself: two views have no hierarchy."""
        alone = {coding: frozenset({coding}) for coding in codings}
        return Expansion(alone, flat=frozenset(coding.system for coding in codings))

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        from sqlalchemy import column, select

        own = self._columns[name]
        columns: list[Any] = [column(written) for written in dict.fromkeys(own.values())]
        for cells in self._database.stream(select(*columns).select_from(self._sources[name]), _key(name)):
            yield {meant: cells[written] for meant, written in own.items()}


def _source(written: str) -> FromClause:
    from sqlalchemy import table, text

    named = _NAME.fullmatch(written)
    if named is not None:
        return table(named["name"], schema=named["schema"])
    query = written.strip().rstrip(";")
    return text(query.replace(":", r"\:")).columns().subquery("rows_of_site")


def _key(name: str) -> str:
    return f"records.{name}"


def open_records(section: SqlSection, folder: Path) -> SqlRecords:
    """Open two views or queries.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        The database cannot be reached, or lacks a view or a column.
    ConfigError
        There is no such time zone or file, the password is not where it should be, or a library is missing.
    """
    return SqlRecords(section, folder)
