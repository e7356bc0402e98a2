"""Records in two tables, CSV and Parquet."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from client.records.contract import ENCOUNTERS, EVENTS, Coding
from client.records.section import open_records, read_section
from client.records.tables import TablesSection
from common.errors import CohortError, ConfigError
from common.toml import check

STAYS = """\
encounter,patient,start,end,kind,birth
1, 7 ,2008-03-05T12:00,2008-03-06,emergency,1990-01-02
2,8,2008-03-05,,,
,,,,,
"""
EVENTS_CSV = """\
patient,encounter,time,until,code,text,absent,number,unit,answer
7,1,2008-03-05T13:00:00.25,,SNOMED 49727002,Cough,true,,,
7,,2008-03-05,,loinc 8310-5,Temperature,,38.9,Cel,
8,2,2008-03-05,2008-03-07,HOT,felt hot,no,,,No
8,2,,,,nothing,,,,
"""


def records(folder, encounters=STAYS, events=EVENTS_CSV, **section):
    (folder / "encounters.csv").write_text(encounters)
    (folder / "events.csv").write_text(events)
    content = {"kind": "tables", "encounters": "encounters.csv", "events": "events.csv", **section}
    return open_records(read_section(content), folder)


def rows(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def test_encounters(tmp_path):
    batches = list(records(tmp_path).encounters())
    assert all(batch.schema == ENCOUNTERS for batch in batches)
    first, second, third = rows(batches)
    assert (first["encounter"], first["patient"], first["kind"]) == ("1", "7", "emergency")
    assert (first["start"], first["birth"]) == (datetime(2008, 3, 5, 12), datetime(1990, 1, 2))
    assert first["end"] == datetime(2008, 3, 6, 23, 59, 59, 999999)  # the day's last moment: no hour is known
    assert (second["start"], second["end"], second["kind"]) == (datetime(2008, 3, 5), None, None)
    assert set(third.values()) == {None}


def test_events(tmp_path):
    found = records(tmp_path)
    batches = list(found.events(None))
    assert all(batch.schema == EVENTS for batch in batches)
    cough, hot_day, local = rows(batches)
    codings = [found.codebook.entries[row["entry"]].codings for row in (cough, hot_day, local)]
    assert codings == [(Coding("SNOMED", "49727002"),), (Coding("LOINC", "8310-5"),), (Coding("", "HOT"),)]
    assert found.codebook.entries[local["entry"]].text == "felt hot"
    assert cough["time"] == cough["until"] == datetime(2008, 3, 5, 13, 0, 0, 250000)
    assert hot_day["until"] == datetime(2008, 3, 5, 23, 59, 59, 999999)
    assert local["until"] == datetime(2008, 3, 7, 23, 59, 59, 999999)
    assert [row["absent"] for row in (cough, hot_day, local)] == [True, False, True]  # the last by its answer
    assert (hot_day["number"], hot_day["unit"], hot_day["encounter"]) == (38.9, "Cel", None)
    assert found.account.counts == {
        "events without a code: left out": 1,
        "events whose code system is not stated: only seen as local codes": 1,
    }


def test_only_wanted_events(tmp_path):
    found = records(tmp_path)
    assert len(rows(found.events(frozenset({Coding("SNOMED", "49727002")})))) == 1
    assert len(found.codebook.entries) == 1
    events = "patient,time,code\n7,2008-03-05,ICD10CM R50.9\n"
    assert len(rows(records(tmp_path, events=events).events(frozenset({Coding("ICD10CM", "R50")})))) == 1


def test_what_answers_mean_absent_is_for_the_section_to_say(tmp_path):
    assert [row["absent"] for row in rows(records(tmp_path, absent=["nothing"]).events(None))] == [True, False, False]


def test_the_system_in_a_column_of_its_own(tmp_path):
    events = "patient,time,code,vocabulary\n7,2008-03-05,R50.9,ICD-10\n7,2008-03-05,GLU,lab\n7,2008-03-05,X,\n"
    found = records(tmp_path, events=events, columns={"system": "vocabulary"}, systems={"ICD-10": "ICD10CM"})
    rows(found.events(None))
    codings = [entry.codings[0] for entry in found.codebook.entries]
    assert codings == [Coding("ICD10CM", "R50.9"), Coding("lab", "GLU"), Coding("", "X")]


def test_a_code_column_may_name_systems_of_the_section_s_and_local_ones(tmp_path):
    events = "patient,time,code\n7,2008-03-05,DX R50.9\n7,2008-03-05,local:lab GLU\n7,2008-03-05,some words\n"
    found = records(tmp_path, events=events, systems={"DX": "ICD10CM"})
    rows(found.events(None))
    codings = [entry.codings[0] for entry in found.codebook.entries]
    assert codings == [Coding("ICD10CM", "R50.9"), Coding("lab", "GLU"), Coding("", "some words")]


def test_parquet_gives_the_same(tmp_path):
    plain = records(tmp_path)
    expected = rows(plain.encounters()), rows(plain.events(None))
    types = {
        "encounter": pa.int64(),
        **dict.fromkeys(("patient", "start", "end", "birth", "time", "until"), pa.string()),
    }
    text = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    for name in ("encounters", "events"):
        table = pa_csv.read_csv(tmp_path / f"{name}.csv", convert_options=text)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    section = {"kind": "tables", "encounters": "encounters.parquet", "events": "events.parquet"}
    found = open_records(check(section, TablesSection, ""), tmp_path)
    assert (rows(found.encounters()), rows(found.events(None))) == expected
    assert found.codebook.entries == plain.codebook.entries


def test_parquet_with_types(tmp_path):
    stays = {"encounter": [1.0, 2.0], "patient": [7, 8], "start": [datetime(2008, 3, 5, 12), None]}
    pq.write_table(pa.table({**stays, "end": [date(2008, 3, 6), None]}), tmp_path / "encounters.parquet")
    happened = {"patient": [7, None], "time": pa.array([datetime(2008, 3, 5)] * 2), "code": ["SNOMED 1", "SNOMED 2"]}
    happened |= {"absent": [None, True], "number": pa.array([38, None], pa.int32())}
    pq.write_table(pa.table(happened), tmp_path / "events.parquet")
    section = {"kind": "tables", "encounters": "encounters.parquet", "events": "events.parquet"}
    found = open_records(check(section, TablesSection, ""), tmp_path)
    first = rows(found.encounters())[0]
    assert (first["encounter"], first["patient"]) == ("1", "7")
    assert first["end"] == datetime(2008, 3, 6, 23, 59, 59, 999999)
    events = rows(found.events(None))
    assert [(row["patient"], row["number"], row["absent"]) for row in events] == [
        ("7", 38.0, False),
        (None, None, True),
    ]


def test_columns_by_other_names(tmp_path):
    stays = STAYS.replace("encounter,patient", "visit,mrn")
    events = EVENTS_CSV.replace("patient,encounter", "mrn,visit")
    found = records(tmp_path, stays, events, columns={"encounter": "visit", "patient": "mrn"})
    assert rows(found.encounters()) == rows(records(tmp_path).encounters())


def test_offsets_become_the_zone_s_clock(tmp_path):
    stays = "encounter,patient,start\n1,7,2008-03-05T12:00:00Z\n2,7,2008-07-05T12:00:00+00:00\n"
    starts = [row["start"].hour for row in rows(records(tmp_path, stays, timezone="Europe/Vienna").encounters())]
    assert starts == [13, 14]


BROKEN = [
    ({"encounters": STAYS[:-20]}, "encounters.csv: does not end with a line break; if it was cut short"),
    ({"encounters": STAYS.replace("2,8,2008", "2,2008")}, "cannot be read as CSV to its end"),
    (
        {"encounters": STAYS.replace("2008-03-05,,,", "5 March,,,")},
        "encounters.csv, column for `start`: 1 times cannot be read",
    ),
    ({"encounters": STAYS.replace("start", "begin")}, 'encounters: no column "start"; name it by records.columns'),
    ({"events": EVENTS_CSV.replace("time", "tiem")}, "events: no column \"time\"; did you mean 'tiem'?"),
    ({"events": EVENTS_CSV.replace("38.9", "hot")}, "events.csv: 1 cells of the column for `number` are no numbers"),
    ({"events": EVENTS_CSV.replace(",true,", ",perhaps,")}, "1 cells of the column for `absent` say neither"),
    ({"events": EVENTS_CSV.replace("unit,answer", "unit,unit")}, 'the column "unit" is 2 times in the header'),
    ({"events": EVENTS_CSV.replace("13:00:00.25", "13:00Z")}, "records.timezone"),
]


def read_all(folder, change):
    found = records(folder, **change)
    return rows(found.encounters()), rows(found.events(None))


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_broken_tables(tmp_path, change, words):
    with pytest.raises(CohortError) as error:
        read_all(tmp_path, change)
    assert words in str(error.value)
    assert "5 March" not in str(error.value)
    assert "perhaps" not in str(error.value)


def test_half_a_parquet_file(tmp_path):
    records(tmp_path)
    whole = tmp_path / "events.parquet"
    pq.write_table(pa_csv.read_csv(tmp_path / "events.csv"), whole)
    whole.write_bytes(whole.read_bytes()[:-100])
    section = {"kind": "tables", "encounters": "encounters.csv", "events": "events.parquet"}
    with pytest.raises(CohortError, match=r"events.parquet: cannot be read as Parquet"):
        open_records(check(section, TablesSection, ""), tmp_path)


def test_files_that_are_not_there(tmp_path):
    section = {"kind": "tables", "encounters": "encounters.csv", "events": "events.csv"}
    with pytest.raises(CohortError, match=r"encounters.csv: no such file"):
        open_records(check(section, TablesSection, ""), tmp_path)


def test_wrong_sections():
    with pytest.raises(ConfigError, match='no column is called "visit"; expected some of encounter'):
        check({"kind": "tables", "encounters": "a", "events": "b", "columns": {"visit": "x"}}, TablesSection, "")
    with pytest.raises(ValueError, match=r"kind must be one of tables, sql, omop, fhir, meds. Got None instead"):
        read_section({})


def test_a_kind_is_imported_only_when_it_is_named():
    import subprocess
    import sys

    heavy = ("client.records.", "client.extraction.", "pint", "sqlalchemy", "duckdb")
    code = (
        "import sys, client.site_file, client.records.section\n"
        f"print([name for name in sys.modules if name.startswith({heavy})])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['client.records.contract', 'client.records.section']"


def test_lists_are_no_text_and_are_not_shown(tmp_path):
    (tmp_path / "encounters.csv").write_text(STAYS)
    lists = pa.table({"patient": ["7"], "time": ["2008-03-05"], "code": [["Meier"]]})
    pq.write_table(lists, tmp_path / "events.parquet")
    section = {"kind": "tables", "encounters": "encounters.csv", "events": "events.parquet"}
    found = open_records(read_section(section), tmp_path)
    with pytest.raises(CohortError, match=r"a column holds list.*; expected text, numbers or times") as caught:
        list(found.events(None))
    assert "Meier" not in str(caught.value)
