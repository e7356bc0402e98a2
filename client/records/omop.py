"""Records in a database of the OMOP Common Data Model (https://ohdsi.github.io/CommonDataModel), version 5.3 or 5.4.

Every event has the code of its standard concept and that of its source concept, so that a cohort's definition may name
either. A source value that was mapped to no concept is a local code.
"""

from __future__ import annotations

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
from client.records.omop_check import check_tables
from client.records.omop_events import EventReader, Wanted
from client.records.omop_tables import (
    EVENT_TABLES,
    EVENTS_OF,
    PERSON,
    PERSON_OPTIONAL,
    VISIT,
    VISIT_OPTIONAL,
    picked,
    table_of,
)
from client.records.omop_times import Times
from client.records.omop_values import ValueReader
from client.records.omop_visits import VISITS, VisitReader
from client.records.omop_vocabulary import LOCAL, Vocabulary, is_one_of

if TYPE_CHECKING:
    from sqlalchemy import Select

_PUSHED = 20_000  # concepts that a query may name; of more, all rows are read and sorted out here


class OmopSection(DatabaseSection):
    """``[records]`` of ``kind = "omop"``.

    Attributes
    ----------
    cdm_schema, vocabulary_schema : str, optional
        Where the tables are, by the keys ``schema`` and ``vocabulary_schema``; that of the vocabularies is the same
        unless it is named.
    tables : tuple of str
        The tables that events are read from.
    timezone : str, optional
        See `clock.Clock`.
    absent : tuple of (str or int)
        Answers that say that a finding is not there: "SYSTEM code", a text, or a concept's id.
    visits : dict of int to str
        Kinds of visits by concept, beside those of `omop_visits.VISITS`.
    midnight : str
        What 00:00:00 means: a day whose hour is not known, as many databases have it, or an hour as any other.
    """

    kind: Literal["omop"]
    cdm_schema: str | None = Field(None, alias="schema")
    vocabulary_schema: str | None = None
    tables: tuple[str, ...] = EVENT_TABLES
    timezone: str | None = None
    absent: tuple[str | int, ...] = ABSENT
    visits: dict[int, str] = Field(default_factory=dict)
    midnight: Literal["hour", "day"] = "day"

    @field_validator("tables")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        stray = [name for name in value if name not in EVENT_TABLES]
        if stray or not value:
            raise ValueError(f'"{(*stray, "")[0]}" is no table of events; expected some of {", ".join(EVENT_TABLES)}')
        return tuple(dict.fromkeys(value))


class OmopRecords:
    """The records of an OMOP database; see `contract.Records`."""

    def __init__(self, section: OmopSection, folder: Path) -> None:
        self.codebook = Codebook()
        self.account = Account()
        self._section = section
        self._times = Times(Clock(section.timezone, self.account), self.account, section.midnight == "day")
        self._database = Database(section, folder)
        vocabulary_schema = section.vocabulary_schema or section.cdm_schema
        self._columns = check_tables(self._database, section.tables, section.cdm_schema, vocabulary_schema)
        self._vocabulary = Vocabulary(self._database, vocabulary_schema, self.account)

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every visit."""
        kinds = VISITS | self._section.visits
        reader = VisitReader(self._vocabulary, self._times, self.account, kinds)
        for cells in self._database.stream(self._visits(), 'table "visit_occurrence"'):
            yield reader.read(cells, 'table "visit_occurrence"')

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give the rows of the tables of events, those of other concepts than the wanted ones left out by the query."""
        chosen = None if wanted is None else self._wanted(wanted)
        values = ValueReader(self._vocabulary, self.account, self._section.absent)
        reader = EventReader(self._vocabulary, self._times, values, self.codebook, self.account, chosen)
        for name in self._section.tables:
            for cells in self._database.stream(self._select(name, chosen), f'table "{name}"'):
                yield reader.read(cells, f'table "{name}"')

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Give what lies below each code by ``concept_relationship`` and ``concept_ancestor``."""
        return self._vocabulary.expand(codings)

    def _wanted(self, codings: frozenset[Coding]) -> Wanted:
        values = frozenset(coding.code for coding in codings if coding.system == LOCAL)
        return Wanted(self._vocabulary.ids(coding for coding in codings if coding.system != LOCAL), values)

    def _visits(self) -> Select[Any]:
        from sqlalchemy import select

        visit, person = (self._table(name) for name in ("visit_occurrence", "person"))
        of_visit = picked(visit, self._columns["visit_occurrence"], VISIT, VISIT_OPTIONAL)
        of_person = picked(person, self._columns["person"], PERSON, PERSON_OPTIONAL)
        joined = visit.outerjoin(person, visit.c.person_id == person.c.person_id)
        return select(*of_visit, *of_person).select_from(joined)

    def _select(self, name: str, wanted: Wanted | None) -> Select[Any]:
        from sqlalchemy import false, select

        where, table = EVENTS_OF[name], self._table(name)
        statement = select(*picked(table, self._columns[name], where.needed, where.optional))
        if wanted is None or len(wanted.concepts) > _PUSHED:
            return statement
        own = [where.needed["concept"], where.optional["source_concept"]]
        columns = [table.c[column] for column in own if column in self._columns[name]]
        condition = false()
        for column in columns if wanted.concepts else ():
            condition |= is_one_of(column, wanted.concepts)
        if wanted.values and where.optional["source_value"] in self._columns[name]:
            condition |= table.c[where.optional["source_value"]].in_(sorted(wanted.values))
        return statement.where(condition)

    def _table(self, name: str) -> Any:
        return table_of(name, self._columns[name], self._section.cdm_schema)


def open_records(section: OmopSection, folder: Path) -> OmopRecords:
    """Open an OMOP database.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        The database cannot be reached, or lacks a table or a column.
    ConfigError
        There is no such time zone or file, the password is not where it should be, or a library is missing.
    """
    return OmopRecords(section, folder)
