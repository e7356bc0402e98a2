"""Whether a database has the tables of the OMOP Common Data Model that are read, before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from client.records.database import Database
from client.records.omop_tables import EVENTS_OF, PERSON, VISIT, VOCABULARY, table_of
from common.errors import CohortError, Problems

_MODEL = "it is that of the OMOP CDM 5.4"


def check_tables(
    database: Database, events: Sequence[str], schema: str | None, vocabulary_schema: str | None
) -> dict[str, list[str]]:
    """Give the columns of each table.

    Parameters
    ----------
    events : sequence of str
        The tables of events that are read.

    Raises
    ------
    CohortError
        Names every table and column that lacks, and tables of vocabularies that are empty.
    """
    problems = Problems("records")
    needed = {"person": (*PERSON.values(),), "visit_occurrence": (*VISIT.values(),)}
    needed |= {name: (*EVENTS_OF[name].needed.values(),) for name in events}
    columns = {name: _columns(database, name, schema, own, problems) for name, own in needed.items()}
    for name, own in VOCABULARY.items():
        _columns(database, name, vocabulary_schema, own, problems)
    problems.raise_if_any(CohortError)
    for name, column in _concept_columns(events):
        _check_whole(database, name, column, schema, problems)
    _check_concepts(database, vocabulary_schema, problems)
    problems.raise_if_any(CohortError)
    return columns


def _columns(database: Database, name: str, schema: str | None, needed: Iterable[str], problems: Problems) -> list[str]:
    where = f"{schema}.{name}" if schema else name
    try:
        there = database.columns(table_of(name, (), schema), f'table "{where}"')
    except CohortError as error:
        unread = "; or leave it out of records.tables" if name in EVENTS_OF else ""
        problems.add(f"{error}{unread}")
        return []
    lacking = [own for own in needed if own not in there]
    if lacking:
        problems.add(f'table "{where}": no column {", ".join(lacking)}; {_MODEL}')
    return there


def _concept_columns(events: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "visit_occurrence", VISIT["concept"]
    for name in events:
        yield name, EVENTS_OF[name].needed["concept"]


def _check_whole(database: Database, name: str, own: str, schema: str | None, problems: Problems) -> None:
    """Refuse concepts that are text: a query that asks for them by number would find none, without a word."""
    from sqlalchemy import select

    column = table_of(name, (own,), schema).c[own]
    found = database.rows(select(column).where(column.is_not(None)).limit(1), f'table "{name}"')
    if found and isinstance(found[0][0], str):
        problems.add(f'table "{name}": {own} holds text, not whole numbers; make its type INTEGER')


def _check_concepts(database: Database, schema: str | None, problems: Problems) -> None:
    from sqlalchemy import select

    column = table_of("concept", ("concept_id",), schema).c["concept_id"]
    if not database.rows(select(column).where(column.is_not(None)).limit(1), 'table "concept"'):
        problems.add('table "concept" is empty; load the vocabularies, without which no code has a meaning')
    else:
        _check_whole(database, "concept", "concept_id", schema, problems)
