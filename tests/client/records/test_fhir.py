from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from client.records import fhir, fhir_births, fhir_lines
from client.records.contract import ENCOUNTERS, EVENTS, Coding
from client.records.fhir import FhirRecords, FhirSection, open_records
from common.errors import CohortError, ConfigError

Json = dict[str, Any]

SNOMED, LOINC, UCUM = "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NOON = "2009-03-05T12:00:00+01:00"


def coded(system: str | None, code: str, display: str = "") -> Json:
    coding = {"system": system, "code": code, "display": display}
    return {"coding": [{key: value for key, value in coding.items() if value}]}


def patient(name: str = "p1", **more: Any) -> Json:
    return {"resourceType": "Patient", "id": name, "birthDate": "1950-06-01"} | more


def encounter(name: str = "e1", kind: str = "EMER", start: str | None = NOON, **more: Any) -> Json:
    period = {"start": start, "end": "2009-03-05T18:00:00+01:00"} if start else {}
    base = {"status": "finished", "class": {"system": ACT, "code": kind}, "subject": {"reference": "Patient/p1"}}
    return {"resourceType": "Encounter", "id": name} | base | {"period": period} | more


def observation(**more: Any) -> Json:
    base = {"status": "final", "subject": {"reference": "Patient/p1"}, "encounter": {"reference": "Encounter/e1"}}
    return {"resourceType": "Observation", "effectiveDateTime": NOON, "code": coded(LOINC, "8310-5")} | base | more


def condition(**more: Any) -> Json:
    base = {"subject": {"reference": "Patient/p1"}, "code": coded(SNOMED, "386661006", "Fever")}
    return {"resourceType": "Condition", "onsetDateTime": NOON} | base | more


def write(folder: Path, *resources: Json | str, name: str = "export.ndjson") -> Path:
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in resources)
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def opened(folder: Path, **keys: Any) -> FhirRecords:
    return open_records(FhirSection(kind="fhir", folder=str(folder), **{"timezone": "Europe/Vienna"} | keys), folder)


def encounters(records: FhirRecords) -> list[Json]:
    rows: list[Json] = pa.Table.from_batches(records.encounters(), ENCOUNTERS).to_pylist()
    return rows


def events(records: FhirRecords, wanted: frozenset[Coding] | None = None) -> list[Json]:
    rows: list[Json] = pa.Table.from_batches(records.events(wanted), EVENTS).to_pylist()
    return rows


def one(folder: Path, resource: Json, **keys: Any) -> Json:
    (event,) = events(opened(write(folder, resource), **keys))
    return event


def test_an_encounter(tmp_path: Path) -> None:
    (row,) = encounters(opened(write(tmp_path, encounter(), patient())))  # the patient comes after
    assert row == {
        "encounter": "e1",
        "patient": "p1",
        "start": datetime(2009, 3, 5, 12),
        "end": datetime(2009, 3, 5, 18),
        "kind": "emergency",
        "birth": datetime(1950, 6, 1),
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AMB", "outpatient"),
        ("IMP", "inpatient"),
        ("ACUTE", "inpatient"),
        ("NONAC", "inpatient"),
        ("VR", "virtual"),
        ("HH", "home"),
        ("EMER", "emergency"),
        ("OBSENC", "OBSENC"),
        ("", None),
    ],
)
def test_kinds_of_encounters(tmp_path: Path, code: str, kind: str | None) -> None:
    assert encounters(opened(write(tmp_path, encounter(kind=code))))[0]["kind"] == kind


def test_encounters_that_were_not_held_are_left_out_and_counted(tmp_path: Path) -> None:
    statuses = ["finished", "in-progress", "unknown", "planned", "cancelled", "entered-in-error", None]
    records = opened(write(tmp_path, *(encounter(f"e{i}", status=s) for i, s in enumerate(statuses))))
    assert [row["encounter"] for row in encounters(records)] == ["e0", "e1", "e2"]
    assert records.account.counts == {
        "encounters planned, cancelled or of no status: left out": 3,
        "encounters entered in error: left out": 1,
    }


def test_dates_of_encounters_that_are_known_in_part(tmp_path: Path) -> None:
    periods = [{"start": "2009-03-05", "end": "2009-03-06"}, {"start": "2009-03"}, {"start": NOON, "end": "2009"}, {}]
    records = opened(write(tmp_path, *(encounter(f"e{i}", period=p) for i, p in enumerate(periods))))
    assert [(row["encounter"], row["start"], row["end"]) for row in encounters(records)] == [
        ("e0", datetime(2009, 3, 5), datetime(2009, 3, 6, 23, 59, 59, 999_999)),
        ("e2", datetime(2009, 3, 5, 12), None),
        ("e3", None, None),
    ]
    assert records.account.counts == {
        "encounters whose start is known by month or year only: left out": 1,
        "encounters whose end is known by month or year only: taken as not known": 1,
    }


def test_births(tmp_path: Path) -> None:
    dates = {"a": "1950-06-01", "bb": "1950-06", "c": "1950", "d": None}
    patients = [patient(name, birthDate=date) for name, date in dates.items()]
    asked = [encounter(name, subject={"reference": f"Patient/{name}"}) for name in [*dates, "e"]]
    records = opened(
        write(tmp_path, *patients, *asked, patient("a"), encounter("none", subject=None) | {"subject": {}})
    )
    assert [row["birth"] for row in encounters(records)] == [
        datetime(1950, 6, 1),
        datetime(1950, 6, 1),
        datetime(1950, 1, 1),
        None,
        None,
        None,
    ]
    assert records.account.counts == {fhir_births.VAGUE_BIRTH: 2}


def test_one_patient_with_two_births_is_refused(tmp_path: Path) -> None:
    records = opened(write(tmp_path, patient(), encounter(), patient(birthDate="1951-06-01")))
    with pytest.raises(CohortError, match=r"^1 patients are written more than once, with different births") as caught:
        encounters(records)
    assert "195" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("Patient/p1", "p1"),
        ("Patient/p1/_history/2", "p1"),
        ("https://fhir.hospital.example/r4/Patient/p1", "p1"),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("#p1", None),
        ("Group/p1", None),
        ("Patient?identifier=x|1", None),
        ("p1", None),
    ],
)
def test_references(tmp_path: Path, reference: str, name: str | None) -> None:
    assert one(tmp_path, observation(subject={"reference": reference}))["patient"] == name


def test_references_to_two_servers_are_refused(tmp_path: Path) -> None:
    subjects = [{"reference": f"https://{server}.example/Patient/p1"} for server in ("a", "a", "b")]
    records = opened(write(tmp_path, *(observation(subject=subject) for subject in subjects)))
    with pytest.raises(CohortError, match="references name resources of two servers"):
        events(records)


def test_a_condition(tmp_path: Path) -> None:
    records = opened(write(tmp_path, condition(encounter={"reference": "Encounter/e1"})))
    (event,) = events(records)
    assert event == {
        "patient": "p1",
        "encounter": "e1",
        "time": datetime(2009, 3, 5, 12),
        "until": datetime(2009, 3, 5, 12),
        "entry": 0,
        "absent": False,
        "number": None,
        "unit": None,
        "answer": None,
    }
    assert records.codebook.entries[0].codings == (Coding("SNOMED", "386661006"),)
    assert records.codebook.entries[0].text == "Fever"


def test_conditions_by_their_verification(tmp_path: Path) -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    known = ["confirmed", "refuted", "unconfirmed", "provisional", "differential", "entered-in-error"]
    records = opened(
        write(tmp_path, condition(), *(condition(verificationStatus=coded(system, status)) for status in known))
    )
    assert [event["absent"] for event in events(records)] == [False, False, True]
    assert records.account.counts == {
        "conditions that are unconfirmed, provisional or differential: left out": 3,
        "events entered in error: left out": 1,
    }


@pytest.mark.parametrize(
    ("times", "condition_time", "first", "last"),
    [
        ({"onsetDateTime": "2009-03"}, "onset", datetime(2009, 3, 1), datetime(2009, 3, 31, 23, 59, 59, 999_999)),
        (
            {"onsetPeriod": {"start": "2009-03-05", "end": NOON}},
            "onset",
            datetime(2009, 3, 5),
            datetime(2009, 3, 5, 12),
        ),
        ({"onsetPeriod": {"start": NOON}}, "onset", datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12)),
        ({"onsetAge": {"value": 3}, "recordedDate": NOON}, "onset", datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12)),
        ({"onsetDateTime": "2001", "recordedDate": NOON}, "recorded", *[datetime(2009, 3, 5, 12)] * 2),
        ({"onsetDateTime": NOON}, "recorded", *[datetime(2009, 3, 5, 12)] * 2),
        ({"onsetString": "last week"}, "onset", None, None),
    ],
)
def test_when_a_condition_was(
    tmp_path: Path, times: Json, condition_time: str, first: datetime | None, last: datetime | None
) -> None:
    resource = {key: value for key, value in condition().items() if key != "onsetDateTime"} | times
    event = one(tmp_path, resource, condition_time=condition_time)
    assert (event["time"], event["until"]) == (first, last)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"valueQuantity": {"value": 38.9, "unit": "degrees", "system": UCUM, "code": "Cel"}},
            (False, 38.9, "Cel", None),
        ),
        ({"valueQuantity": {"value": 39, "unit": "C"}}, (False, 39.0, "C", None)),
        ({"valueQuantity": {"value": 39, "unit": "C", "system": "http://own", "code": "x"}}, (False, 39.0, "C", None)),
        ({"valueQuantity": {"value": 39}}, (False, 39.0, None, None)),
        ({"valueQuantity": {"unit": "C"}}, (False, None, None, None)),
        ({"valueQuantity": {"value": 60, "comparator": ">", "unit": "mL"}}, (False, None, None, ">60 mL")),
        ({"valueInteger": 3}, (False, 3.0, None, None)),
        ({"valueBoolean": True}, (False, None, None, None)),
        ({"valueBoolean": False}, (True, None, None, None)),
        ({"valueString": "Positive"}, (False, None, None, "Positive")),
        ({"valueString": " Not  Detected"}, (True, None, None, " Not  Detected")),
        ({"valueCodeableConcept": coded(SNOMED, "10828004")}, (False, None, None, "SNOMED 10828004")),
        ({"valueCodeableConcept": coded(SNOMED, "260385009")}, (True, None, None, "SNOMED 260385009")),
        ({"valueCodeableConcept": coded(LOINC, "LA32-8")}, (True, None, None, "LOINC LA32-8")),
        ({"valueCodeableConcept": coded("http://own", "N", "Negative")}, (True, None, None, "http://own N")),
        ({"valueCodeableConcept": coded(None, "NEG")}, (False, None, None, "NEG")),
        ({"valueCodeableConcept": {"text": "Negative"}}, (True, None, None, "Negative")),
        (
            {
                "valueCodeableConcept": {
                    "coding": [coded("http://own", "1")["coding"][0], *coded(LOINC, "LA33-6")["coding"]]
                }
            },
            (False, None, None, "LOINC LA33-6"),
        ),
        (
            {"interpretation": [coded("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "NEG")]},
            (True, None, None, "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation NEG"),
        ),
        ({"valueRange": {"low": {"value": 1}}}, (False, None, None, None)),
        ({}, (False, None, None, None)),
    ],
)
def test_what_an_observation_says(tmp_path: Path, value: Json, expected: tuple[Any, ...]) -> None:
    event = one(tmp_path, observation(**value))
    assert (event["absent"], event["number"], event["unit"], event["answer"]) == expected


def test_odd_values_are_counted(tmp_path: Path) -> None:
    quantities = [{"value": 60, "comparator": ">"}, {"value": 1}]
    texts = [json.dumps(observation(valueQuantity=q)) for q in quantities]
    unknown = observation(dataAbsentReason={"text": "unknown"})
    records = opened(
        write(tmp_path, *texts, unknown, observation(valueTime="12:00:00"), observation(code={"text": "x"}))
    )
    assert [event["number"] for event in events(records)] == [None, 1.0, None]
    assert records.account.counts == {
        "numbers with a comparator such as <: taken as none": 1,
        "events whose value is said to be missing: left out": 1,
        "values that are a range, a ratio, a time or samples: taken as none": 1,
        "events without a code: left out": 1,
    }


def test_own_absent_answers_replace_the_shipped_ones(tmp_path: Path) -> None:
    assert one(tmp_path, observation(valueString="nope"), absent=["Nope"])["absent"] is True
    assert one(tmp_path, observation(valueString="negative"), absent=["Nope"])["absent"] is False


def test_observations_by_their_status(tmp_path: Path) -> None:
    statuses = ["final", "amended", "corrected", "preliminary", "registered", "cancelled", "entered-in-error", None]
    records = opened(write(tmp_path, *(observation(status=status) for status in statuses)))
    assert len(events(records)) == 3
    assert records.account.counts == {
        "events of a status that is not final: left out": 4,
        "events entered in error: left out": 1,
    }


def test_components_are_events_of_their_own(tmp_path: Path) -> None:
    parts = [
        {"code": coded(LOINC, "8480-6"), "valueQuantity": {"value": 107, "code": "mm[Hg]", "system": UCUM}},
        {"code": coded(LOINC, "8462-4"), "dataAbsentReason": {"text": "not asked"}},
    ]
    records = opened(write(tmp_path, observation(code=coded(LOINC, "85354-9"), component=parts)))
    found = [(records.codebook.entries[e["entry"]].codings[0].code, e["number"], e["unit"]) for e in events(records)]
    assert found == [("85354-9", None, None), ("8480-6", 107.0, "mm[Hg]")]
    assert records.account.counts == {"events whose value is said to be missing: left out": 1}


@pytest.mark.parametrize(
    ("key", "written", "first", "last"),
    [
        ("effectiveDateTime", "2009-03-05T11:00:00Z", datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12)),
        ("effectiveDateTime", "2009-03-05", datetime(2009, 3, 5), datetime(2009, 3, 5, 23, 59, 59, 999_999)),
        ("effectiveInstant", NOON, datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12)),
        (
            "effectivePeriod",
            {"start": NOON, "end": "2009-03-06"},
            *[datetime(2009, 3, 5, 12), datetime(2009, 3, 6, 23, 59, 59, 999_999)],
        ),
        ("effectivePeriod", {"end": NOON}, datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12)),
        ("issued", NOON, None, None),
    ],
)
def test_when_an_observation_was(tmp_path: Path, key: str, written: Any, first: Any, last: Any) -> None:
    resource = observation()
    del resource["effectiveDateTime"]
    event = one(tmp_path, resource | {key: written})
    assert (event["time"], event["until"]) == (first, last)


@pytest.mark.parametrize(
    ("kind", "status", "more", "absent"),
    [
        ("Procedure", "completed", {"performedDateTime": NOON}, False),
        ("Procedure", "not-done", {"performedDateTime": NOON}, True),
        ("Procedure", "completed", {"performedPeriod": {"start": NOON, "end": "2010"}}, False),
        ("MedicationStatement", "active", {"effectiveDateTime": NOON}, False),
        ("MedicationStatement", "not-taken", {"dateAsserted": NOON}, True),
        ("MedicationAdministration", "completed", {"effectivePeriod": {"start": NOON}}, False),
        ("MedicationRequest", "active", {"intent": "order", "authoredOn": NOON}, False),
        ("MedicationRequest", "active", {"doNotPerform": True, "authoredOn": NOON}, True),
        ("Immunization", "completed", {"occurrenceDateTime": NOON}, False),
    ],
)
def test_procedures_medications_and_immunisations(
    tmp_path: Path, kind: str, status: str, more: Json, absent: bool
) -> None:
    code = {"Procedure": "code", "Immunization": "vaccineCode"}.get(kind, "medicationCodeableConcept")
    context = "context" if kind in ("MedicationStatement", "MedicationAdministration") else "encounter"
    ties = {
        "patient" if kind == "Immunization" else "subject": {"reference": "Patient/p1"},
        context: {"reference": "Encounter/e1"},
    }
    event = one(tmp_path, {"resourceType": kind, "status": status, code: coded(SNOMED, "1")} | more | ties)
    assert (event["patient"], event["encounter"], event["absent"]) == ("p1", "e1", absent)
    assert (event["time"], event["until"]) == (datetime(2009, 3, 5, 12), datetime(2009, 3, 5, 12))


def test_what_was_planned_or_is_named_by_reference_is_left_out_and_counted(tmp_path: Path) -> None:
    request = {"resourceType": "MedicationRequest", "status": "active", "subject": {"reference": "Patient/p1"}}
    coding = {"medicationCodeableConcept": coded(SNOMED, "1")}
    changed = observation(modifierExtension=[{"url": "http://own", "valueBoolean": True}])
    plan = request | coding | {"intent": "plan"}
    records = opened(write(tmp_path, plan, request | {"medicationReference": {"reference": "Medication/1"}}, changed))
    assert events(records) == []
    assert records.account.counts == {
        "events of a status that is not final: left out": 1,
        "medications named by a reference alone: left out": 1,
        "resources with an extension that may change their meaning: left out": 1,
    }


def test_codes_of_systems(tmp_path: Path) -> None:
    codings = [("urn:oid:2.16.840.1.113883.6.90", "R50.9"), ("http://own", "77"), ("urn:own", "78"), (None, "79")]
    records = opened(write(tmp_path, *(condition(code=coded(*c)) for c in codings)), systems={"urn:own": "OWN"})
    assert len(events(records)) == 4
    assert [entry.codings[0] for entry in records.codebook.entries] == [
        Coding("ICD10CM", "R50.9"),
        Coding("http://own", "77"),
        Coding("OWN", "78"),
        Coding("", "79"),
    ]
    assert records.account.counts == {"events whose code system is not stated: only seen as local codes": 1}


def test_events_of_other_codes_are_left_away_but_not_those_of_icd(tmp_path: Path) -> None:
    icd = coded("http://hl7.org/fhir/sid/icd-10-cm", "R50.9")
    both = {"coding": [*coded("http://own", "1")["coding"], *coded(SNOMED, "386661006")["coding"]]}
    records = opened(write(tmp_path, *(condition(code=code) for code in (icd, both, coded(SNOMED, "1")))))
    found = events(records, frozenset({Coding("SNOMED", "386661006")}))
    assert [records.codebook.entries[event["entry"]].codings[-1] for event in found] == [
        Coding("ICD10CM", "R50.9"),
        Coding("http://own", "1"),
    ]


def test_expand_says_that_every_system_is_flat(tmp_path: Path) -> None:
    asked = frozenset({Coding("SNOMED", "1"), Coding("ICD10CM", "R50")})
    expansion = opened(write(tmp_path, encounter())).expand(asked)
    assert expansion.descendants == {coding: {coding} for coding in asked}
    assert expansion.flat == {"SNOMED", "ICD10CM"}
    assert expansion.unknown == frozenset()


def test_files_of_any_name_and_gzip_and_contained_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "BATCH", 2)
    monkeypatch.setattr(fhir_births, "CHUNK", 2)
    within = observation(contained=[{"resourceType": "Patient", "id": "x"}, {"resourceType": "Encounter"}])
    write(tmp_path, *(patient(f"p{i}") for i in range(5)), "", within, name="1.Patient.ndjson.gz")
    write(tmp_path, "\ufeff" + json.dumps(encounter()), *(condition() for _ in range(5)), name="2.ndjson")
    write(tmp_path, {"resourceType": "Organization"}, name="3.NDJSON")
    write(tmp_path, "this is not read", name="readme.txt")
    records = opened(tmp_path)
    assert [len(batch) for batch in records.encounters()][-1] == 1
    assert [row["birth"] for row in encounters(records)] == [datetime(1950, 6, 1)]
    assert len(events(records)) == 6
    assert records.account.counts == {"resources of types that are not read: left out": 1}


WRONG = "is no object, as FHIR R4 wants it: line 2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"resourceType": "Observation", "id',
            "export.ndjson: not JSON, or cut short; expected one resource a line, so export it again: line 2",
        ),
        ('{"resourceType": "Organization", "a": {}', "not JSON, or cut short"),  # seen though it is not read: the last
        ("[" + json.dumps(condition()) + "]", 'export.ndjson: no JSON object with a "resourceType"'),
        ("17", 'no JSON object with a "resourceType"; expected one resource a line: line 2'),
        ('{"resourceType": 7}', 'no JSON object with a "resourceType"'),
        ('{"resourceType": "Bundle", "entry": []}', "a Bundle; expected one resource a line: line 2"),
        ('{"resourceType": "Patient"}', 'a Patient without an "id": line 2'),
        (json.dumps(patient("q", birthDate="spring")), '"birthDate" cannot be read; expected such as "1950-03-05"'),
        (json.dumps(patient("q", birthDate=1950)), '"birthDate" is no text, as FHIR R4 wants it: line 2'),
        (json.dumps(encounter("q", start="soon")), "a time that cannot be read, expected times such as"),
        (json.dumps(encounter("q") | {"class": [{"coding": []}]}), f'"class" {WRONG}'),
        (json.dumps(encounter("q", period="2009")), f'"period" {WRONG}'),
        (json.dumps(observation(effectiveDateTime="2009-02-30")), "a time that cannot be read, expected times such as"),
        (json.dumps(observation(valueQuantity={"value": "38.9"})), "a value is no number, as FHIR R4 wants it: line 2"),
        (json.dumps(observation(code={"coding": {"code": "1"}})), '"coding" is no list of objects, as FHIR R4 wants'),
        (json.dumps(observation(code={"coding": [{"code": 1}]})), '"code" is no text, as FHIR R4 wants it: line 2'),
        (json.dumps(observation(subject="Patient/p1")), f'"subject" {WRONG}'),
        (json.dumps(condition(verificationStatus="confirmed")), f'"verificationStatus" {WRONG}'),
    ],
)
def test_what_is_broken_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    records = opened(write(tmp_path, encounter(), line))
    with pytest.raises(CohortError) as caught:
        [*records.encounters(), *records.events(None)]
    assert message in str(caught.value)
    assert "line 2" in str(caught.value)


def test_all_broken_lines_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    broken = [observation(subject="x"), observation(valueQuantity={"value": "x"}), observation(effectiveDateTime="x")]
    records = opened(write(tmp_path, *broken * 8, observation()))
    with pytest.raises(CohortError) as caught:
        events(records)
    assert str(caught.value).splitlines()[:3] == [
        "export.ndjson: 3 problems",
        '  - "subject" is no object, as FHIR R4 wants it: lines 1, 4, 7, 10, 13 and 3 more',
        "  - a value is no number, as FHIR R4 wants it: lines 2, 5, 8, 11, 14 and 3 more",
    ]


def test_a_file_cut_anywhere_within_a_line_is_refused(tmp_path: Path) -> None:
    path = (
        write(tmp_path, encounter(), {"resourceType": "Organization", "contact": [{}]}, observation()) / "export.ndjson"
    )
    data = path.read_bytes()
    whole = {data.index(line) + len(line) for line in data.splitlines()}
    for keep in range(min(whole), len(data), 3):
        path.write_bytes(data[:keep])
        try:
            records = opened(tmp_path)
            [*records.encounters(), *records.events(None)]
        except CohortError as error:
            assert "cut short" in str(error)  # noqa: PT017
        else:
            assert keep in whole | {end + 1 for end in whole}


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_half_a_gzip_file_is_refused(tmp_path: Path, keep: float) -> None:
    write(tmp_path, *(encounter(f"e{i}") for i in range(500)), name="Encounter.ndjson.gz")
    data = (tmp_path / "Encounter.ndjson.gz").read_bytes()
    (tmp_path / "Encounter.ndjson.gz").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(
        CohortError, match=r"^Encounter\.ndjson\.gz: cut short or damaged after line \d+; copy or export"
    ):
        encounters(opened(tmp_path))


def test_what_is_no_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(b"plain")
    with pytest.raises(CohortError, match=r"a\.ndjson\.gz: cut short or damaged after line 0"):
        encounters(opened(tmp_path))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir_lines, "LONGEST", 1000)
    with pytest.raises(CohortError, match="line 1 is longer than 64 MB; expected one resource a line"):
        encounters(opened(write(tmp_path, encounter(note="x" * 2000))))


def test_what_is_no_export_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CohortError, match="no file that ends in"):
        opened(tmp_path)
    with pytest.raises(CohortError, match="no file that ends in"):
        opened(tmp_path / "missing")
    with pytest.raises(CohortError, match="no Encounter in any file"):
        encounters(opened(write(tmp_path, patient())))
    (tmp_path / "b.ndjson").mkdir()
    with pytest.raises(CohortError, match=r"b\.ndjson: cannot be read"):
        encounters(opened(tmp_path))
    monkeypatch.setattr(fhir_lines, "orjson", None)
    with pytest.raises(ConfigError, match=r"pip install 'sitebridge\[records\]'"):
        opened(tmp_path)


def test_different_offsets_need_a_zone(tmp_path: Path) -> None:
    write(tmp_path, encounter(), observation(effectiveDateTime="2009-07-05T12:00:00+02:00"))
    records = opened(tmp_path, timezone=None)
    with pytest.raises(
        CohortError, match=r"export\.ndjson: times with 2 different offsets from UTC; name the hospital"
    ):
        [*records.encounters(), *records.events(None)]


def test_files_that_hold_nothing_are_counted(tmp_path: Path) -> None:
    write(tmp_path, patient(), encounter())
    write(tmp_path, name="Condition.ndjson")
    found = opened(tmp_path)
    encounters(found)
    assert found.account.counts["files of the export that hold nothing"] == 1
