"""The tables of the OMOP Common Data Model that are read (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Versions 5.3 and 5.4 are alike in what is needed here. A column that may lack is read as null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import TableClause

EVENT_TABLES = (
    "condition_occurrence",
    "observation",
    "measurement",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
)
_VALUE = ("value_as_number", "value_as_concept_id", "unit_concept_id", "unit_source_value", "value_source_value")


@dataclass(frozen=True)
class EventTable:
    """Where one table of events has what; columns by the name that `omop_events` uses.

    Attributes
    ----------
    needed, optional : dict of str to str
    """

    name: str
    needed: dict[str, str]
    optional: dict[str, str]


def _event_table(name: str, stem: str, when: str, extra: Sequence[str] = (), **renamed: str) -> EventTable:
    needed = {"person": "person_id", "date": f"{when}_date", "concept": f"{stem}_concept_id"}
    optional = {
        "visit": "visit_occurrence_id",
        "datetime": f"{when}_datetime",
        "source_concept": f"{stem}_source_concept_id",
        "source_value": f"{stem}_source_value",
    }
    return EventTable(name, needed, optional | {column: column for column in extra} | renamed)


EVENTS_OF = {
    table.name: table
    for table in (
        _event_table(
            "condition_occurrence",
            "condition",
            "condition_start",
            qualifier="condition_status_concept_id",
            qualifier_value="condition_status_source_value",
        ),
        _event_table(
            "observation",
            "observation",
            "observation",
            (*_VALUE, "value_as_string"),
            qualifier="qualifier_concept_id",
            qualifier_value="qualifier_source_value",
        ),
        _event_table("measurement", "measurement", "measurement", (*_VALUE, "operator_concept_id")),
        _event_table("drug_exposure", "drug", "drug_exposure_start"),
        _event_table("procedure_occurrence", "procedure", "procedure"),
        _event_table("device_exposure", "device", "device_exposure_start"),
    )
}
VISIT = {
    "encounter": "visit_occurrence_id",
    "person": "person_id",
    "concept": "visit_concept_id",
    "start_date": "visit_start_date",
    "end_date": "visit_end_date",
}
VISIT_OPTIONAL = {
    "start_datetime": "visit_start_datetime",
    "end_datetime": "visit_end_datetime",
    "source_value": "visit_source_value",
}
PERSON = {"known": "person_id", "year": "year_of_birth"}
PERSON_OPTIONAL = {"month": "month_of_birth", "day": "day_of_birth", "birth": "birth_datetime"}
VOCABULARY = {
    "concept": ("concept_id", "concept_name", "vocabulary_id", "concept_code"),
    "concept_relationship": ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"),
}


def table_of(name: str, columns: Sequence[str], schema: str | None) -> TableClause:
    """Give a table; columns that end in ``_id`` but of the vocabulary are of whole numbers, others as they come."""
    from sqlalchemy import BigInteger, column, table

    def declared(own: str) -> Any:
        return column(own, BigInteger) if "concept_id" in own else column(own)

    return table(name, *map(declared, columns), schema=schema)


def picked(
    table: TableClause, there: Sequence[str], needed: Mapping[str, str], optional: Mapping[str, str]
) -> list[Any]:
    """Give a table's columns to select, by the names of `EventTable`; those that it lacks are left out."""
    kept = {**needed, **{name: own for name, own in optional.items() if own in there}}
    return [table.c[own].label(name) for name, own in kept.items()]
