"""Encounters from FHIR resources."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.clock import EXPECTED, Clock
from client.records.contract import ENCOUNTERS, Account
from client.records.fhir_births import Births, vague
from client.records.fhir_events import CHANGED
from client.records.fhir_lines import Faults, Resource
from client.records.fhir_parts import References, part, word

IN_ERROR = "encounters entered in error: left out"
NOT_HELD = "encounters planned, cancelled or of no status: left out"
VAGUE_START = "encounters whose start is known by month or year only: left out"
VAGUE_END = "encounters whose end is known by month or year only: taken as not known"
HELD = frozenset({"arrived", "triaged", "in-progress", "onleave", "finished", "unknown"})
ACT_KINDS = {  # codes of http://terminology.hl7.org/CodeSystem/v3-ActCode
    "EMER": "emergency",
    "IMP": "inpatient",
    "ACUTE": "inpatient",
    "NONAC": "inpatient",
    "AMB": "outpatient",
    "VR": "virtual",
    "HH": "home",
}


class Row(NamedTuple):
    """An encounter whose times are still as written."""

    line: int
    encounter: str | None
    patient: str | None
    start: str | None
    end: str | None
    kind: str | None


def read_encounter(line: int, resource: Resource, references: References, account: Account) -> Row | None:
    """Give an encounter that was held, or None; the others are counted.

    Raises
    ------
    MalformedError
        The resource is not of FHIR R4.
    """
    status = word(resource, "status")
    if status not in HELD:
        account.add(IN_ERROR if status == "entered-in-error" else NOT_HELD)
        return None
    if resource.get("modifierExtension"):
        account.add(CHANGED)
        return None
    period, code = part(resource, "period"), word(part(resource, "class"), "code")
    kind = ACT_KINDS.get(code, code) if code is not None else None
    patient = references.read(resource, "subject", "Patient")
    return Row(line, word(resource, "id"), patient, word(period, "start"), word(period, "end"), kind)


def batch(
    rows: list[Row], births: Births, clock: Clock, account: Account, faults: Faults, where: str
) -> pa.RecordBatch:
    """Give encounters of the schema `ENCOUNTERS`; times that cannot be read are noted in `faults`."""
    start = clock.read(pa.array([row.start for row in rows], pa.string()), where)
    end = clock.read(pa.array([row.end for row in rows], pa.string()), where)
    for index in (start.unreadable | end.unreadable).nonzero()[0]:
        faults.add(f"a time that cannot be read, {EXPECTED}:", rows[index].line)
    no_start, open_end = vague(start), vague(end)
    account.add(VAGUE_START, pc.sum(no_start).as_py() or 0)
    account.add(VAGUE_END, pc.sum(open_end).as_py() or 0)
    columns = [
        pa.array([row.encounter for row in rows], pa.string()),
        pa.array([row.patient for row in rows], pa.string()),
        start.time,
        pc.if_else(open_end, None, end.until),
        pa.array([row.kind for row in rows], pa.string()),
        births.of([row.patient for row in rows]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ENCOUNTERS).filter(pc.invert(no_start))
