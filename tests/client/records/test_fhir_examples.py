"""The resources that HL7 publishes with FHIR R4: the npm package hl7.fhir.r4.examples, unpacked."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from client.records.contract import ENCOUNTERS, EVENTS, Coding
from client.records.fhir import FhirRecords, FhirSection, open_records

TYPES = (
    "Encounter",
    "Condition",
    "Observation",
    "Patient",
    "Procedure",
    "Immunization",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationAdministration",
)


@pytest.fixture(scope="module")
def examples() -> Path:
    folder = os.environ.get("SITEBRIDGE_FHIR_EXAMPLES")
    if not folder:
        pytest.skip("set SITEBRIDGE_FHIR_EXAMPLES to the folder `package` of npm's hl7.fhir.r4.examples")
    return Path(folder)


@pytest.fixture(scope="module")
def records(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> FhirRecords:
    export = tmp_path_factory.mktemp("export")
    for kind in TYPES:
        resources = [json.loads(path.read_bytes()) for path in sorted(examples.glob(f"{kind}-*.json"))]
        (export / f"{kind}.ndjson").write_text("".join(json.dumps(r) + "\n" for r in resources))
    section = FhirSection(kind="fhir", folder=str(export), timezone="Europe/Amsterdam")
    return open_records(section, export)


@pytest.fixture(scope="module")
def encounters(records: FhirRecords) -> dict[str, dict[str, Any]]:
    table = pa.Table.from_batches(records.encounters(), ENCOUNTERS)
    return {row["encounter"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def events(records: FhirRecords, encounters: Any) -> list[dict[str, Any]]:
    rows = pa.Table.from_batches(records.events(None), EVENTS).to_pylist()
    return [row | {"codings": records.codebook.entries[row["entry"]].codings} for row in rows]


def test_encounters(encounters: dict[str, dict[str, Any]]) -> None:
    assert len(encounters) == 10
    assert Counter(row["kind"] for row in encounters.values()) == {"outpatient": 6, "inpatient": 3, "home": 1}
    assert encounters["home"] == {  # written as 16:00 to 16:30 at +10:00
        "encounter": "home",
        "patient": "example",
        "start": datetime(2015, 1, 17, 7),
        "end": datetime(2015, 1, 17, 7, 30),
        "kind": "home",
        "birth": datetime(1974, 12, 25),
    }
    assert encounters["f203"]["end"] == datetime(2013, 3, 20, 23, 59, 59, 999_999)
    assert sum(row["start"] is None for row in encounters.values()) == 7
    assert all(row["birth"] is not None for row in encounters.values())


def test_observations(events: list[dict[str, Any]]) -> None:
    def of(system: str, code: str) -> list[tuple[Any, ...]]:
        found = [event for event in events if Coding(system, code) in event["codings"]]
        return [tuple(event[key] for key in ("patient", "absent", "number", "unit", "answer")) for event in found]

    assert of("LOINC", "15074-8") == [("f001", False, 6.3, "mmol/L", None)]
    assert of("LOINC", "45708-5") == [("infant", True, None, None, "SNOMED 2667000")]  # vomiting: absent
    assert of("LOINC", "48643-1") == [("f201", False, None, None, ">60 mL/min/{1.73_m2}")]
    assert of("LOINC", "600-7") == [("f201", False, None, None, "SNOMED 3092008")]
    assert ("example", False, 107.0, "mm[Hg]", None) in of("LOINC", "8480-6")  # within blood pressure
    fever = [event for event in events if Coding("SNOMED", "386661006") in event["codings"]]
    assert [(event["time"], event["until"]) for event in fever] == [
        (datetime(2013, 4, 2), datetime(2013, 4, 2, 23, 59, 59, 999_999))
    ]


def test_every_decision_is_counted(records: FhirRecords, events: Any) -> None:
    assert records.account.counts == {
        "events without a code: left out": 15,  # by words alone, or with a reason why there is none
        "conditions that are unconfirmed, provisional or differential: left out": 2,
        "medications named by a reference alone: left out": 42,
        "events entered in error: left out": 3,
        "events of a status that is not final: left out": 7,
        "events whose value is said to be missing: left out": 1,
        "values that are a range, a ratio, a time or samples: taken as none": 4,
        "numbers with a comparator such as <: taken as none": 1,
    }
