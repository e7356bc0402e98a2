"""Events from FHIR resources: which of them count, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.clock import EXPECTED, Clock
from client.records.contract import EVENTS, Account, Codebook, Coding
from client.records.fhir_lines import Faults, Resource
from client.records.fhir_parts import Part, References, concept, moment, part, parts, word, wording
from client.records.fhir_values import Value, ValueReader
from client.records.systems import HIERARCHICAL

Times: TypeAlias = tuple[str | None, str | None]  # first and last, as written

NO_CODE = "events without a code: left out"
NO_SYSTEM = "events whose code system is not stated: only seen as local codes"
IN_ERROR = "events entered in error: left out"
NOT_FINAL = "events of a status that is not final: left out"
NOT_CONFIRMED = "conditions that are unconfirmed, provisional or differential: left out"
BY_REFERENCE = "medications named by a reference alone: left out"
CHANGED = "resources with an extension that may change their meaning: left out"


class Kind(NamedTuple):
    """How a type of resource is read.

    Attributes
    ----------
    kept : frozenset of str
        Statuses of which something is known to have been so.
    negated : str
        The status that says that it was not so; "" where there is none.
    stem : str
        Of the key of its time: ``stemDateTime`` or ``stemPeriod``.
    """

    kept: frozenset[str]
    negated: str = ""
    stem: str = "effective"


KINDS = {
    "Condition": Kind(frozenset(), stem="onset"),
    "Observation": Kind(frozenset({"final", "amended", "corrected"})),
    "Procedure": Kind(frozenset({"in-progress", "completed", "stopped", "on-hold"}), "not-done", "performed"),
    "MedicationStatement": Kind(frozenset({"active", "completed", "stopped", "on-hold"}), "not-taken"),
    "MedicationAdministration": Kind(frozenset({"in-progress", "completed", "stopped", "on-hold"}), "not-done"),
    "MedicationRequest": Kind(frozenset({"active", "completed", "stopped", "on-hold"})),
    "Immunization": Kind(frozenset({"completed"}), "not-done", "occurrence"),
}


class Row(NamedTuple):
    """An event whose times are still as written."""

    line: int
    patient: str | None
    encounter: str | None
    first: str | None
    last: str | None
    entry: int
    value: Value


@dataclass
class EventReader:
    """Turns resources of one export into events.

    Attributes
    ----------
    wanted : frozenset of Coding or None
        Events with none of these codes are left away; those of ICD stay, as their codes stand for what lies below.
    recorded : bool
        Conditions are taken by the day of their record, not of their onset, where they have both.
    """

    codebook: Codebook
    account: Account
    references: References
    systems: Mapping[str, str]
    wanted: frozenset[Coding] | None
    values: ValueReader
    recorded: bool
    rows: list[Row] = field(default_factory=list)
    _entries: dict[tuple[Coding, ...], int | None] = field(default_factory=dict)

    def take(self, line: int, resource: Resource) -> None:
        """Add the events of a resource to `rows`.

        Raises
        ------
        MalformedError
            The resource is not of FHIR R4.
        """
        if resource.get("modifierExtension"):
            self.account.add(CHANGED)
            return
        read: dict[str, Callable[[int, Resource], None]] = {
            "Condition": self._condition,
            "Observation": self._observation,
        }
        read.get(resource["resourceType"], self._act)(line, resource)

    def _condition(self, line: int, resource: Resource) -> None:
        statuses = {word(coding, "code") for coding in parts(part(resource, "verificationStatus"), "coding")}
        if "entered-in-error" in statuses:
            self.account.add(IN_ERROR)
            return
        if statuses & {"unconfirmed", "provisional", "differential"}:
            self.account.add(NOT_CONFIRMED)
            return
        onset, recorded = moment(resource, "onset", whole=True), (word(resource, "recordedDate"), None)
        first, second = (recorded, onset) if self.recorded else (onset, recorded)
        entry = self._entry(part(resource, "code"))
        self._add(line, resource, first if first[0] else second, entry, Value("refuted" in statuses))

    def _observation(self, line: int, resource: Resource) -> None:
        if not self._counts(resource):
            return
        for holder in (resource, *parts(resource, "component")):
            entry = self._entry(part(holder, "code"))
            value = self.values.read(holder) if entry is not None else None
            if value is not None:
                self._add(line, resource, moment(resource, "effective", whole=True), entry, value)

    def _act(self, line: int, resource: Resource) -> None:
        """Read a procedure, an immunisation or a medication."""
        name = resource["resourceType"]
        if not self._counts(resource):
            return
        kind = KINDS[name]
        code = {"Procedure": "code", "Immunization": "vaccineCode"}.get(name, "medicationCodeableConcept")
        if "medicationReference" in resource:
            self.account.add(BY_REFERENCE)
            return
        written = word(resource, "authoredOn") or word(resource, "dateAsserted")
        time = moment(resource, kind.stem)
        negated = word(resource, "status") == kind.negated or resource.get("doNotPerform") is True
        entry = self._entry(part(resource, code))
        self._add(line, resource, time if time[0] else (written, None), entry, Value(negated))

    def _counts(self, resource: Resource) -> bool:
        status, kind = word(resource, "status"), KINDS[resource["resourceType"]]
        intended = word(resource, "intent") in ("proposal", "plan", "option")  # of a request for a medication
        if status in kind.kept | {kind.negated} and not intended:
            return True
        self.account.add(IN_ERROR if status == "entered-in-error" else NOT_FINAL)
        return False

    def _add(self, line: int, resource: Resource, time: Times, entry: int | None, value: Value) -> None:
        if entry is None:
            return
        who = "patient" if resource["resourceType"] == "Immunization" else "subject"
        patient = self.references.read(resource, who, "Patient")
        within = self.references.read(resource, "encounter" if "encounter" in resource else "context", "Encounter")
        self.rows.append(Row(line, patient, within, time[0], time[1], entry, value))

    def _entry(self, code: Part) -> int | None:
        """Give the number of a code's entry; None where it has none, or none that is wanted."""
        codings = concept(code, self.systems)
        if not codings:
            self.account.add(NO_CODE)
            return None
        if codings not in self._entries:
            wanted = self.wanted is None or any(c in self.wanted or c.system in HIERARCHICAL for c in codings)
            self._entries[codings] = self.codebook.number(codings, wording(code)) if wanted else None
        number = self._entries[codings]
        if number is not None and not any(coding.system for coding in codings):
            self.account.add(NO_SYSTEM)
        return number


def batch(rows: list[Row], clock: Clock, faults: Faults, where: str) -> pa.RecordBatch:
    """Give events of the schema `EVENTS`; times that cannot be read are noted in `faults`."""
    first = clock.read(pa.array([row.first for row in rows], pa.string()), where)
    last = clock.read(pa.array([row.last for row in rows], pa.string()), where)
    for index in (first.unreadable | last.unreadable).nonzero()[0]:
        faults.add(f"a time that cannot be read, {EXPECTED}:", rows[index].line)
    columns = [
        pa.array([row.patient for row in rows], pa.string()),
        pa.array([row.encounter for row in rows], pa.string()),
        first.time,
        pc.coalesce(last.until, first.until),
        pa.array([row.entry for row in rows], pa.int32()),
        pa.array([row.value.absent for row in rows], pa.bool_()),
        pa.array([row.value.number for row in rows], pa.float64()),
        pa.array([row.value.unit for row in rows], pa.string()),
        pa.array([row.value.answer for row in rows], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=EVENTS)
