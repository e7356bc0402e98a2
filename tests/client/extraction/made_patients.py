"""The same 300 patients in every form that records come in; made by rule and a seeded draw.

Among them: several encounters each, findings that are said not to be there, temperatures in Fahrenheit and Celsius,
days without an hour, events outside the window, after the label, written twice, of an encounter by name and of none,
and codes of the hospital's own.
"""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

DEFINITION = """\
name = "five-forms"
[index]
kinds = ["emergency", "outpatient"]
from = 2008-01-01
before = 2010-01-01
age = [1, 95]
exclude = ["transplant"]
[window]
before = "24h"
after = "72h"
[sets]
test = { codes = ["LOINC 80382-5"] }
transplant = { codes = ["SNOMED 77465005"] }
cough = { codes = ["SNOMED 49727002"] }
fever = { codes = ["ICD10CM R50"] }
headache = { codes = ["LOINC 45706-7"] }
temperature = { codes = ["LOINC 8310-5"] }
[label]
set = "test"
positive = ["SNOMED 10828004"]
negative = ["SNOMED 260385009"]
[findings]
local = { most = 2, at_least = 20 }
[findings.sets]
cough = "cough"
fever = "fever"
headache = "headache"
[grades.C0424781]
set = "temperature"
unit = "Cel"
cuts = [38.0, 40.0]
names = ["I", "A", "P"]
[ages.agegroup]
cuts = [6, 65]
names = ["ls5", "ge6ls65", "ge64"]
[split]
by = "date"
test_from = 2009-06-01
"""
TEXTS = {
    "80382-5": "Influenza virus A Ag",
    "77465005": "Transplantation",
    "49727002": "Cough",
    "R50.9": "Fever, unspecified",
    "45706-7": "Headache",
    "8310-5": "Body temperature",
    "FEB": "felt hot at triage",
    "SORE": "sore all over",
    "RARE": "a rare code",
}
NO, YES, POSITIVE, NEGATIVE = "373067005", "373066001", "10828004", "260385009"


@dataclass(frozen=True)
class Stay:
    """An encounter."""

    encounter: int
    patient: int
    start: datetime
    end: datetime
    kind: str


@dataclass(frozen=True)
class Happened:
    """An event; a date is a day without an hour. `answer` is a code of SNOMED CT."""

    patient: int
    encounter: int | None
    time: datetime | date
    system: str
    code: str
    absent: bool = False
    number: float | None = None
    unit: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Hospital:
    """All of it; births by patient."""

    births: dict[int, date]
    stays: list[Stay]
    events: list[Happened]


def hospital(patients: int = 300) -> Hospital:
    """Make the hospital; always the same one."""
    draw = random.Random(20080305)
    births = {
        p: date(draw.randint(1910, 2007), draw.randint(1, 12), draw.randint(1, 28)) for p in range(1, patients + 1)
    }
    stays, events = [], []
    for patient in births:
        for _ in range(draw.randint(1, 4)):
            start = datetime(2007, 10, 1, 1) + timedelta(minutes=draw.randint(0, 60 * 24 * 900))
            length = timedelta(minutes=draw.randint(30, 6000))
            kind = draw.choice(["emergency", "emergency", "outpatient", "inpatient"])
            stays.append(Stay(len(stays) + 1, patient, start, start + length, kind))
            events += _events(stays[-1], draw)
    return Hospital(births, stays, [*events, *draw.sample(events, 50)])  # fifty are written twice


def _events(stay: Stay, draw: random.Random) -> list[Happened]:
    def at(low: int, high: int) -> datetime:
        time = stay.start + timedelta(minutes=draw.randint(low, high))
        return time + timedelta(minutes=1) if (time.hour, time.minute) == (0, 0) else time  # midnight is a day in MEDS

    def made(time: datetime | date, system: str, code: str, **more: object) -> Happened:
        named = stay.encounter if draw.random() < 0.7 else None
        return Happened(stay.patient, named, time, system, code, **more)  # type: ignore[arg-type]

    events = []
    if draw.random() < 0.8:
        answer = draw.choice([POSITIVE, NEGATIVE, NEGATIVE])
        events.append(made(at(30, 2000), "LOINC", "80382-5", answer=answer, absent=answer == NEGATIVE))
    if draw.random() < 0.5:
        absent = draw.random() < 0.3
        events.append(made(at(-3000, 5000), "LOINC", "45706-7", absent=absent, answer=NO if absent else YES))
    if draw.random() < 0.5:
        time = at(-100, 3000)
        events.append(made(time if draw.random() < 0.5 else time.date(), "SNOMED", "49727002"))
    if draw.random() < 0.4:
        events.append(made(at(-100, 3000), "ICD10CM", "R50.9"))
    for _ in range(draw.randint(0, 3)):
        number, unit = draw.choice(
            [(round(draw.uniform(36, 41), 1), "Cel"), (round(draw.uniform(97, 105), 1), "[degF]")]
        )
        events.append(made(at(-200, 4000), "LOINC", "8310-5", number=number, unit=unit))
    for code, share in (("FEB", 0.3), ("SORE", 0.2), ("RARE", 0.01)):
        if draw.random() < share:
            events.append(made(at(0, 2000), "hill", code))
    if draw.random() < 0.03:
        events.append(made(at(0, 1000), "SNOMED", "77465005"))
    return events


def rows(made: Hospital) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Give encounters and events as rows of text and numbers, in the long form."""
    stays = [
        {
            "encounter": str(stay.encounter),
            "patient": str(stay.patient),
            "start": stay.start.isoformat(),
            "end": stay.end.isoformat(),
            "kind": stay.kind,
            "birth": made.births[stay.patient].isoformat(),
        }
        for stay in made.stays
    ]
    events = [
        {
            "patient": str(event.patient),
            "encounter": None if event.encounter is None else str(event.encounter),
            "time": event.time.isoformat(),
            "code": event.code,
            "system": event.system,
            "text": TEXTS[event.code],
            "absent": event.absent,
            "number": event.number,
            "unit": event.unit,
            "answer": None if event.answer is None else f"SNOMED {event.answer}",
        }
        for event in made.events
    ]
    return stays, events


def as_csv(made: Hospital, folder: Path) -> str:
    """Write two CSV files, the code with its system in one column; give the section."""
    stays, events = rows(made)
    for event in events:
        system = event.pop("system")
        event["code"] = f"{'local:' if system == 'hill' else ''}{system} {event['code']}"
    pa_csv.write_csv(pa.Table.from_pylist(stays), folder / "encounters.csv")
    pa_csv.write_csv(pa.Table.from_pylist(events), folder / "events.csv")
    return 'kind = "tables"\nencounters = "encounters.csv"\nevents = "events.csv"'


def as_parquet(made: Hospital, folder: Path) -> str:
    """Write two Parquet files, the system in a column of its own, in the opposite order; give the section."""
    stays, events = rows(made)
    pq.write_table(pa.Table.from_pylist(stays[::-1]), folder / "encounters.parquet")
    pq.write_table(pa.Table.from_pylist(events[::-1]), folder / "events.parquet")
    return 'kind = "tables"\nencounters = "encounters.parquet"\nevents = "events.parquet"'


_URLS = {"SNOMED": "http://snomed.info/sct", "LOINC": "http://loinc.org", "hill": "http://hill.example/codes"}
_URLS["ICD10CM"] = "http://hl7.org/fhir/sid/icd-10-cm"
_CLASSES = {"emergency": "EMER", "inpatient": "IMP", "outpatient": "AMB"}


def as_fhir(made: Hospital, folder: Path) -> str:
    """Write a FHIR bulk export: temperatures, tests and answers as Observation, the rest as Condition."""
    patients = [
        {"resourceType": "Patient", "id": str(p), "birthDate": birth.isoformat()} for p, birth in made.births.items()
    ]
    encounters = [
        {
            "resourceType": "Encounter",
            "id": str(stay.encounter),
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": _CLASSES[stay.kind]},
            "subject": {"reference": f"Patient/{stay.patient}"},
            "period": {"start": stay.start.isoformat() + "Z", "end": stay.end.isoformat() + "Z"},
        }
        for stay in made.stays
    ]
    events = [_resource(number, event) for number, event in enumerate(made.events)]
    kinds = {"Patient": patients, "Encounter": encounters}
    kinds |= {kind: [e for e in events if e["resourceType"] == kind] for kind in ("Condition", "Observation")}
    (folder / "export").mkdir()
    for kind, resources in kinds.items():
        (folder / "export" / f"{kind}.ndjson").write_text(
            "".join(json.dumps(resource) + "\n" for resource in resources)
        )
    systems = '"http://hill.example/codes" = "hill"'
    return f'kind = "fhir"\nfolder = "export"\ntimezone = "UTC"\nsystems = {{ {systems} }}'


def _resource(number: int, event: Happened) -> dict[str, object]:
    time = event.time.isoformat() + ("Z" if isinstance(event.time, datetime) else "")
    coding = {"system": _URLS[event.system], "code": event.code}
    resource: dict[str, object] = {
        "id": f"x{number}",
        "code": {"coding": [coding], "text": TEXTS[event.code]},
        "subject": {"reference": f"Patient/{event.patient}"},
    }
    if event.encounter is not None:
        resource["encounter"] = {"reference": f"Encounter/{event.encounter}"}
    if event.system != "LOINC":
        status = {"coding": [{"code": "refuted" if event.absent else "confirmed"}]}
        return resource | {"resourceType": "Condition", "verificationStatus": status, "onsetDateTime": time}
    resource |= {"resourceType": "Observation", "status": "final", "effectiveDateTime": time}
    if event.answer is not None:
        resource["valueCodeableConcept"] = {"coding": [{"system": _URLS["SNOMED"], "code": event.answer}]}
    if event.number is not None:
        quantity = {"value": event.number, "system": "http://unitsofmeasure.org", "code": event.unit, "unit": "degrees"}
        resource["valueQuantity"] = quantity
    return resource


def as_meds(made: Hospital, folder: Path) -> str:
    """Write a MEDS data set: a column for the encounter and one for the unit; midnight stands for a day."""
    found: list[dict[str, object]] = []
    for patient, birth in made.births.items():
        found.append(
            {"subject_id": patient, "time": datetime(birth.year, birth.month, birth.day), "code": "MEDS_BIRTH"}
        )
    for stay in made.stays:
        marks = ((stay.start, f"VISIT//{stay.kind}"), (stay.end, "VISIT_END"))
        found += [{"subject_id": stay.patient, "time": t, "code": c, "visit": stay.encounter} for t, c in marks]
    for event in made.events:
        time = event.time if isinstance(event.time, datetime) else datetime.combine(event.time, datetime.min.time())
        row = {
            "subject_id": event.patient,
            "time": time,
            "code": f"{event.system}//{event.code}",
            "visit": event.encounter,
        }
        answer = None if event.answer is None else f"SNOMED//{event.answer}"
        found.append(row | {"numeric_value": event.number, "text_value": answer, "unit": event.unit})
    types = {"subject_id": pa.int64(), "time": pa.timestamp("us"), "code": pa.string(), "numeric_value": pa.float32()}
    types |= {"text_value": pa.large_string(), "visit": pa.int64(), "unit": pa.string()}
    for number in (0, 1):
        path = folder / "meds" / "data" / "train" / f"{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = [row for row in found if row["subject_id"] % 2 == number]  # type: ignore[operator]
        mine.sort(key=lambda row: (row["subject_id"], row["time"]))
        pq.write_table(pa.Table.from_pylist(mine, pa.schema(types.items())), path)
    texts = {f"{event.system}//{event.code}": TEXTS[event.code] for event in made.events}
    (folder / "meds" / "metadata").mkdir()
    columns = {"code": list(texts), "description": list(texts.values())}
    pq.write_table(pa.table(columns), folder / "meds" / "metadata" / "codes.parquet")
    starts = ", ".join(f'"VISIT//{kind}" = "{kind}"' for kind in _CLASSES)
    return (
        'kind = "meds"\nfolder = "meds"\nmidnight = "day"\nsystems = { hill = "hill" }\n'
        f'[records.encounters]\ncolumn = "visit"\nend = ["VISIT_END"]\nstarts = {{ {starts} }}'
    )


def as_sql(made: Hospital, folder: Path) -> str:
    """Write an SQLite database with a table of encounters and a query of events; give the section."""
    stays, events = rows(made)
    with closing(sqlite3.connect(folder / "hill.sqlite")) as database:
        for name, found in (("stays", stays), ("happened", events)):
            columns = list(found[0])
            database.execute(f"CREATE TABLE {name} ({', '.join(map(json.dumps, columns))})")
            marks = ", ".join("?" * len(columns))
            database.executemany(f"INSERT INTO {name} VALUES ({marks})", [tuple(row.values()) for row in found])
        database.commit()
    query = "SELECT h.*, h.patient AS mrn FROM happened AS h ORDER BY code"
    return f'kind = "sql"\nurl = "sqlite:///hill.sqlite"\nencounters = "stays"\nevents = "{query}"'


_CONCEPTS = {  # concept_id, vocabulary, code, words; the last of each event's own
    "80382-5": (40769091, "LOINC"),
    "45706-7": (3030911, "LOINC"),
    "8310-5": (3020891, "LOINC"),
    "49727002": (254761, "SNOMED"),
    "77465005": (4042140, "SNOMED"),
    "386661006": (437663, "SNOMED"),
    "R50.9": (45534423, "ICD10CM"),
    "FEB": (2000000001, "hill"),
    "SORE": (2000000002, "hill"),
    "RARE": (2000000003, "hill"),
    POSITIVE: (9191, "SNOMED"),
    NEGATIVE: (9189, "SNOMED"),
    YES: (4188539, "SNOMED"),
    NO: (4188540, "SNOMED"),
    "Cel": (586323, "UCUM"),
    "[degF]": (9289, "UCUM"),
}
_STANDARD = {"R50.9": "386661006"}  # what ICD codes are mapped to; codes of the hospital's own are mapped to nothing
_VISITS = {"emergency": 9203, "inpatient": 9201, "outpatient": 9202}
_OMOP = """
CREATE TABLE person (person_id INTEGER, year_of_birth INTEGER, month_of_birth INTEGER, day_of_birth INTEGER);
CREATE TABLE visit_occurrence (visit_occurrence_id INTEGER, person_id INTEGER, visit_concept_id INTEGER,
  visit_start_date DATE, visit_start_datetime TIMESTAMP, visit_end_date DATE, visit_end_datetime TIMESTAMP);
CREATE TABLE condition_occurrence (person_id INTEGER, visit_occurrence_id INTEGER, condition_concept_id INTEGER,
  condition_source_concept_id INTEGER, condition_source_value TEXT, condition_start_date DATE,
  condition_start_datetime TIMESTAMP);
CREATE TABLE measurement (person_id INTEGER, visit_occurrence_id INTEGER, measurement_concept_id INTEGER,
  measurement_date DATE, measurement_datetime TIMESTAMP, value_as_number DOUBLE, value_as_concept_id INTEGER,
  unit_concept_id INTEGER);
CREATE TABLE observation (person_id INTEGER, visit_occurrence_id INTEGER, observation_concept_id INTEGER,
  observation_date DATE, observation_datetime TIMESTAMP, value_as_concept_id INTEGER);
CREATE TABLE concept (concept_id INTEGER, concept_name TEXT, vocabulary_id TEXT, concept_code TEXT,
  standard_concept TEXT);
CREATE TABLE concept_relationship (concept_id_1 INTEGER, concept_id_2 INTEGER, relationship_id TEXT,
  invalid_reason TEXT);
CREATE TABLE concept_ancestor (ancestor_concept_id INTEGER, descendant_concept_id INTEGER,
  min_levels_of_separation INTEGER);
"""


def as_omop(made: Hospital, folder: Path) -> str:
    """Write an OMOP CDM in DuckDB with the vocabulary that it needs; give the section."""
    import duckdb

    concepts = [(number, TEXTS.get(code, code), system, code, "S") for code, (number, system) in _CONCEPTS.items()]
    category = (45571590, "Fever of other and unknown origin", "ICD10CM", "R50", None)
    births = [(person, birth.year, birth.month, birth.day) for person, birth in made.births.items()]
    with duckdb.connect(str(folder / "omop.duckdb")) as database:
        database.execute(_OMOP)
        _insert(database, "concept", [*concepts, category])
        _insert(database, "concept_relationship", [(45534423, 437663, "Maps to", None)])
        _insert(
            database, "concept_ancestor", [(row[0], row[0], 0) for row in concepts if row[2] in ("SNOMED", "LOINC")]
        )
        _insert(database, "person", births)
        _insert(database, "visit_occurrence", [_visit(stay) for stay in made.stays])
        for table in ("condition_occurrence", "measurement", "observation"):
            _insert(database, table, [row for name, row in map(_of_omop, made.events) if name == table])
    tables = '["condition_occurrence", "measurement", "observation"]'
    return f'kind = "omop"\nurl = "duckdb:///omop.duckdb"\ntables = {tables}'


def _insert(database: object, table: str, found: list[tuple[object, ...]]) -> None:
    database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(found[0]))})", found)  # type: ignore[attr-defined]


def _visit(stay: Stay) -> tuple[object, ...]:
    times = stay.start.date(), stay.start, stay.end.date(), stay.end
    return stay.encounter, stay.patient, _VISITS[stay.kind], *times


def _of_omop(event: Happened) -> tuple[str, tuple[object, ...]]:
    """Give the table that an event belongs to, and its row there."""
    time = event.time if isinstance(event.time, datetime) else None
    day = event.time if time is None else time.date()
    who, concept = (event.patient, event.encounter), _CONCEPTS[event.code][0]
    answer = None if event.answer is None else _CONCEPTS[event.answer][0]
    if event.code == "45706-7":
        return "observation", (*who, concept, day, time, answer)
    if event.system == "LOINC":
        unit = None if event.unit is None else _CONCEPTS[event.unit][0]
        return "measurement", (*who, concept, day, time, event.number, answer, unit)
    standard = _CONCEPTS[_STANDARD[event.code]][0] if event.code in _STANDARD else concept
    mapped = 0 if event.system == "hill" else standard
    return "condition_occurrence", (*who, mapped, concept, event.code, day, time)


FORMS = {"csv": as_csv, "parquet": as_parquet, "sql": as_sql, "omop": as_omop, "fhir": as_fhir, "meds": as_meds}
