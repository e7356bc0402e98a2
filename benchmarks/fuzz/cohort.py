"""What a hospital has: tables of encounters, and records as FHIR, MEDS and two tables."""

from __future__ import annotations

import gzip
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from benchmarks.fuzz.contract import Reader
from benchmarks.fuzz.hill import SITE, TABLE
from benchmarks.fuzz.wire import EMBEDDING
from client.cohorts import read_cohort
from client.extraction.output import read_origin
from client.prediction.encounters import read_new
from client.prediction.names import Names
from client.records.fhir import FhirSection
from client.records.meds import MedsSection
from client.records.section import open_records
from client.records.tables import TablesSection
from client.site_file import load_site

_FHIR: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "quincunx", "birthDate": "1950-06-01"},
    {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
        "subject": {"reference": "Patient/quincunx"},
        "period": {"start": "2009-03-05T12:00:00+01:00", "end": "2009-03-05T18:00:00+01:00"},
    },
    {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"reference": "http://a.example/Patient/quincunx"},
        "encounter": {"reference": "Encounter/e1"},
        "effectiveDateTime": "2009-03-05T12:00:00+01:00",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}], "text": "quincunx"},
        "valueQuantity": {"value": 38.5, "unit": "C", "system": "http://unitsofmeasure.org", "code": "Cel"},
        "component": [{"code": {"coding": [{"code": "x"}]}, "valueString": "quincunx"}],
    },
    {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/quincunx"},
        "onsetPeriod": {"start": "2009", "end": "2009-03"},
        "recordedDate": "2009-03-05",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "386661006", "display": "quincunx"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
    },
    {
        "resourceType": "Immunization",
        "status": "completed",
        "patient": {"reference": "Patient/quincunx"},
        "occurrenceDateTime": "2009-03-05",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "88"}]},
    },
]
_NDJSON = "\n".join(json.dumps(resource) for resource in _FHIR).encode() + b"\n"

_ENCOUNTERS = (
    b"encounter,patient,start,end,kind,birth\ne1,quincunx,2009-03-05T12:00:00,2009-03-06,emergency,1950-01-01\n"
)
_EVENTS = b"""patient,encounter,time,until,code,text,absent,number,unit,answer
quincunx,e1,2009-03-05T12:00:00,,LOINC 8310-5,fever,false,38.5,Cel,quincunx
quincunx,,2009-03-05,2009-03-06,local:x y,"a, b",1,,,
"""


def _records(name: str, section: Any, others: dict[str, bytes], data: bytes, folder: Path) -> object:
    """Read all of some records: encounters, then events."""
    for other, content in ({**others, name: data}).items():
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    records = open_records(section, folder)
    return [list(records.encounters()), list(records.events(None))]


def _site(kind: str, suffix: str, data: bytes, folder: Path) -> object:
    """Read a cohort, and then the same file as new encounters."""
    (folder / f"hill.{suffix}").write_bytes(data)
    (folder / "hill.toml").write_text(SITE[kind].replace("hill.csv", f"hill.{suffix}"))
    site = load_site(folder / "hill.toml")
    new = read_new(site, folder / f"hill.{suffix}", EMBEDDING)
    list(Names(new, folder / f"hill.{suffix}", "id")[:])
    return read_cohort(site, "keep")


def _origin(data: bytes, folder: Path) -> object:
    (folder / "cohort.parquet").write_bytes(data)
    return read_origin(folder / "cohort.parquet")


def _parquet(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pa_parquet.write_table(table, out, **options)
    return out.getvalue()


def _meds() -> tuple[bytes, bytes]:
    rows = [("MEDS_BIRTH", None), ("VISIT//ER", 1), ("LOINC//8310-5", 1), ("quincunx", 1), ("VISIT_END", 1)]
    columns = {
        "subject_id": pa.array([1] * len(rows), pa.int64()),
        "time": pa.array([10**15 + i * 10**9 for i in range(len(rows))], pa.timestamp("us")),
        "code": [code for code, _ in rows],
        "numeric_value": pa.array([None, None, 38.5, None, None], pa.float32()),
        "text_value": pa.array([None, None, None, "quincunx", None], pa.large_string()),
        "visit_id": pa.array([visit for _, visit in rows], pa.int64()),
        "unit": [None, None, "Cel", None, None],
    }
    parents = pa.array([["LOINC/8310"], None], pa.list_(pa.string()))
    codes = {"code": ["LOINC//8310-5", "quincunx"], "description": ["temperature", None], "parent_codes": parents}
    return _parquet(pa.table(columns)), _parquet(pa.table(codes))


def _nothing(data: bytes) -> str:
    return ""


def _header(data: bytes) -> str:
    """Give the first line of a CSV, which is no patient's."""
    return data.replace(b"\r", b"\n").lstrip(b"\n\xef\xbb\xbf").split(b"\n")[0].decode("utf-8", "replace")


def _names(data: bytes) -> str:
    """Give the names of a Parquet file's columns, and their types."""
    try:
        return str(pa_parquet.read_schema(io.BytesIO(data)))
    except (pa.ArrowException, OSError):
        return ""


def readers() -> list[Reader]:
    """Give everything that a hospital has."""
    csv, parquet = TABLE.encode(), _parquet(pa_csv.read_csv(io.BytesIO(TABLE.encode())))
    fhir = FhirSection(kind="fhir", folder=".", timezone="Europe/Vienna")
    bare = FhirSection(kind="fhir", folder=".", condition_time="recorded")
    tables = TablesSection(kind="tables", encounters="encounters.csv", events="events.csv")
    marks = {"starts": {"VISIT//*": "emergency"}, "end": ["VISIT_END"]}
    by_column = MedsSection.model_validate(
        {"kind": "meds", "folder": ".", "encounters": marks | {"column": "visit_id"}}
    )
    by_time = MedsSection.model_validate({"kind": "meds", "folder": ".", "encounters": marks, "midnight": "day"})
    events, codes = _meds()
    where, said = "data/train/0.parquet", "metadata/codes.parquet"
    both = {"encounters.csv": _ENCOUNTERS, "events.csv": _EVENTS}
    of_tables = [Reader(name, "text", (both[name],), partial(_records, name, tables, both), _header) for name in both]
    as_parquet = TablesSection(kind="tables", encounters="encounters.parquet", events="events.parquet")
    wide = {f"{Path(name).stem}.parquet": _parquet(pa_csv.read_csv(io.BytesIO(both[name]))) for name in both}
    of_tables += [
        Reader(name, "parquet", (wide[name],), partial(_records, name, as_parquet, wide), _names) for name in wide
    ]
    origin = pa.table({"a": [1]}).replace_schema_metadata(
        {"sitebridge": '{"definition": "a", "digest": "b", "records": "fhir"}'}
    )
    return [
        *(Reader(f"CSV, {kind}", "text", (csv,), partial(_site, kind, "csv"), _header) for kind in SITE),
        *(Reader(f"Parquet, {kind}", "parquet", (parquet,), partial(_site, kind, "parquet"), _names) for kind in SITE),
        Reader("extracted table", "bytes", (_parquet(origin),), _origin),
        Reader("FHIR", "json lines", (_NDJSON,), partial(_records, "a.ndjson", fhir, {}), _nothing),
        Reader("FHIR without a zone", "json lines", (_NDJSON,), partial(_records, "a.ndjson", bare, {}), _nothing),
        Reader(
            "FHIR, compressed", "gzip", (gzip.compress(_NDJSON),), partial(_records, "a.ndjson.gz", fhir, {}), _nothing
        ),
        Reader("MEDS", "parquet", (events,), partial(_records, where, by_column, {said: codes}), _names),
        Reader("MEDS without visits", "parquet", (events,), partial(_records, where, by_time, {said: codes}), _names),
        Reader("MEDS codes", "parquet", (codes,), partial(_records, said, by_column, {where: events}), _names),
        *of_tables,
    ]
