"""Records in OMOP databases of every kind."""

from __future__ import annotations

import random
from datetime import date, datetime

import made_omop as made
import pyarrow as pa
import pytest
from made_database import file_engine, write

from client.records import database, omop
from client.records.clock import Clock
from client.records.contract import ENCOUNTERS, EVENTS, Account, Coding
from client.records.omop_times import Times
from client.records.section import open_records, read_section
from common.errors import CohortError

FEVER, CHILLS, COUGH = (Coding("SNOMED", code) for code in ("386661006", "274640006", "49727002"))
R50, R509, R5081 = (Coding("ICD10CM", code) for code in ("R50", "R50.9", "R50.81"))


def records(folder, kind="sqlite", keys=None, **tables):
    write(file_engine(kind, folder), made.tables(**tables))
    return reopened(folder, kind, keys)


def reopened(folder, kind="sqlite", keys=None):
    return open_records(read_section({"kind": "omop", "url": f"{kind}:///records.{kind}", **(keys or {})}), folder)


def rows(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def happened(found, wanted=None):
    """Give events with their entry in place of its number."""
    return [row | {"entry": found.codebook.entries[row["entry"]]} for row in rows(found.events(wanted))]


def test_encounters(tmp_path):
    found = records(tmp_path)
    batches = list(found.encounters())
    assert all(batch.schema == ENCOUNTERS for batch in batches)
    by_id = {row["encounter"]: row for row in rows(batches)}
    assert by_id["1"] == {
        "encounter": "1",
        "patient": "1",
        "start": datetime(2008, 3, 5, 12),
        "end": datetime(2008, 3, 5, 18),
        "kind": "emergency",
        "birth": datetime(1990, 1, 2),
    }
    assert by_id["2"]["start"] == datetime(2008, 3, 5)
    assert by_id["2"]["end"] == datetime(2008, 3, 6, 23, 59, 59, 999999)  # no hour is known
    assert by_id["3"]["end"] == datetime(2008, 3, 7, 23, 59, 59, 999999)  # midnight: the same
    assert by_id["8"]["patient"] is None
    assert "9" not in by_id
    assert by_id["10"]["end"] < by_id["10"]["start"]  # for the definition to leave out
    assert len(rows(batches)) == 11
    assert [by_id[one]["kind"] for one in ("2", "3", "4", "5", "6", "7", "8")] == [
        "inpatient",
        "outpatient",
        "emergency",
        "emergency",  # below two, three levels and five
        "Laboratory Visit",
        "walk in",
        "emergency",
    ]
    assert [by_id[one]["birth"] for one in ("2", "3", "4")] == [
        datetime(1980, 7, 1),
        datetime(1970, 5, 15),
        datetime(1960, 2, 3),
    ]
    assert found.account.counts == {
        "encounters of a person that the table person lacks: left out": 1,
        "births known by year only, by encounter: taken as the middle of the year": 1,
        "births known by year and month only, by encounter: taken as the middle of the month": 1,
    }


def test_a_day_that_no_month_has_is_not_known():
    account = Account()
    times = Times(Clock(None), account, midnight_is_day=True)
    cells = {name: pa.array([number]) for name, number in (("year", 1990), ("month", 2), ("day", 31))}
    assert times.births(cells, "person").to_pylist() == [datetime(1990, 2, 15)]
    assert account.counts == {"births known by year and month only, by encounter: taken as the middle of the month": 1}


def test_kinds_that_the_site_names(tmp_path):
    found = records(tmp_path, keys={"visits": {made.LAB_VISIT: "outpatient", made.BOTH: "inpatient"}})
    kinds = {row["encounter"]: row["kind"] for row in rows(found.encounters())}
    assert (kinds["6"], kinds["4"], kinds["3"]) == ("outpatient", "inpatient", "outpatient")


def test_conditions(tmp_path):
    conditions = [
        made.condition(1, made.FEVER, made.ICD_R509, "R50.9"),
        made.condition(1, made.COUGH, time=None, visit_occurrence_id=None),
        made.condition(1, 0, made.FEB, "FEB"),
        made.condition(1, 0, 0, "sore throat"),
        made.condition(1, made.COUGH, status=made.RULED_OUT),
        made.condition(1, made.COUGH, condition_status_source_value="Refuted"),
        made.condition(1, made.COUGH, time=made.at(0)),
        made.condition(1, 77, 0, "77"),
        made.condition(1, 77, made.ICD_R50),
        made.condition(1, 0),
        made.condition(None, made.COUGH),
    ]
    found = records(tmp_path, condition_occurrence=conditions)
    assert all(batch.schema == EVENTS for batch in found.events(None))
    found = reopened(tmp_path)
    fever, cough, own, local, out, refuted, midnight, lost, half, stray = happened(found)
    assert fever["entry"].codings == (R509, FEVER)
    assert (fever["entry"].text, fever["encounter"], fever["patient"]) == ("Fever", "1", "1")
    assert fever["time"] == fever["until"] == datetime(2008, 3, 5, 13)
    assert cough["entry"].codings == (COUGH,)
    assert (cough["time"], cough["encounter"]) == (datetime(2008, 3, 5), None)
    assert cough["until"] == midnight["until"] == datetime(2008, 3, 5, 23, 59, 59, 999999)
    assert (own["entry"].codings, own["entry"].text) == ((Coding("hill", "FEB"),), "felt hot at triage")
    assert (local["entry"].codings, local["entry"].text) == ((Coding("local", "sore throat"),), "sore throat")
    assert [row["absent"] for row in (fever, cough, out, refuted)] == [False, False, True, True]
    assert lost["entry"].codings == (Coding("local", "77"),)
    assert half["entry"].codings == (R50,)
    assert stray["patient"] is None
    assert found.account.counts == {
        "events whose code system is not stated: only seen as local codes": 1,
        "events of concepts that the vocabulary tables lack: seen under their other code, if they have one": 2,
        "events without a code: left out": 1,
    }


def test_midnight_may_be_an_hour(tmp_path):
    found = records(
        tmp_path, keys={"midnight": "hour"}, condition_occurrence=[made.condition(1, made.COUGH, time=made.at(0))]
    )
    (event,) = happened(found)
    assert event["until"] == event["time"]


def test_measurements(tmp_path):
    measurements = [
        made.measurement(1, made.TEMPERATURE, 38.9, unit=made.CELSIUS, value_source_value="38.9"),
        made.measurement(1, made.TEMPERATURE, 101.0, unit_source_value="F"),
        made.measurement(1, made.TEMPERATURE, 120.0, unit=8876),
        made.measurement(1, made.TEMPERATURE, 120.0, unit=8876, unit_source_value="mm[Hg]"),
        made.measurement(1, made.TEMPERATURE, 37.5),
        made.measurement(1, made.TEMPERATURE, 5.0, unit=made.CELSIUS, operator_concept_id=made.BELOW),
        made.measurement(1, made.TEMPERATURE, 5.0, operator_concept_id=4172703),
        made.measurement(1, made.TEST, answer=made.POSITIVE),
        made.measurement(1, made.TEST, answer=made.NEGATIVE),
        made.measurement(1, made.TEST, value_source_value="NEGATIVE"),
        made.measurement(1, made.TEST, 0.5, answer=made.NEGATIVE),
        made.measurement(1, made.TEST, float("inf"), unit_source_value="mg"),
        made.measurement(1, made.TEST, unit=made.CELSIUS),
    ]
    found = records(tmp_path, measurement=measurements)
    said = [(row["number"], row["unit"], row["answer"], row["absent"]) for row in happened(found)]
    assert said == [
        (38.9, "Cel", None, False),
        (101.0, "F", None, False),
        (120.0, "millimeter mercury column", None, False),
        (120.0, "mm[Hg]", None, False),
        (37.5, None, None, False),
        (None, None, "<5 Cel", False),
        (5.0, None, None, False),
        (None, None, "SNOMED 10828004", False),
        (None, None, "SNOMED 260385009", True),
        (None, None, "NEGATIVE", True),
        (0.5, None, "SNOMED 260385009", True),
        (None, None, None, False),
        (None, None, None, False),
    ]
    assert found.account.counts == {
        "numbers with a comparator such as <: taken as none": 1,
        "numbers that are not finite: taken as none": 1,
    }


def test_observations(tmp_path):
    observations = [
        made.observation(1, made.SYMPTOM, answer=made.YES, value_as_string="Yes"),
        made.observation(1, made.SYMPTOM, answer=made.NO),
        made.observation(1, made.SYMPTOM, value_as_string="not detected"),
        made.observation(1, made.SYMPTOM, qualifier_concept_id=made.NO),
        made.observation(1, made.SYMPTOM, qualifier_source_value="severe"),
        made.observation(1, made.SYMPTOM, answer=made.POSITIVE),
    ]
    keys = {"absent": [made.POSITIVE, "not detected", "snomed 373067005"]}
    found = records(tmp_path, keys=keys, observation=observations)
    said = [(row["answer"], row["absent"]) for row in happened(found)]
    assert said == [
        ("SNOMED 373066001", False),
        ("SNOMED 373067005", True),
        ("not detected", True),
        (None, True),
        (None, False),
        ("SNOMED 10828004", True),
    ]


def test_other_tables_of_events(tmp_path):
    def given(stem, when):
        return [
            {
                "person_id": 1,
                "visit_occurrence_id": 1,
                f"{stem}_concept_id": made.COUGH,
                f"{when}_date": date(2008, 3, 5),
            }
        ]

    found = records(tmp_path, **{name: given(*names) for name, names in made.OPTIONAL_EVENTS.items()})
    assert len(happened(found)) == 3
    assert len(happened(reopened(tmp_path, keys={"tables": ["drug_exposure"]}))) == 1


def test_days_and_times_that_disagree_are_counted(tmp_path):
    conditions = [made.condition(1, made.COUGH, condition_start_date=date(2008, 3, 4))]
    found = records(tmp_path, condition_occurrence=conditions)
    (event,) = happened(found)
    assert event["time"] == datetime(2008, 3, 5, 13)
    assert found.account.counts == {"times whose day is another than the date beside them: the time is taken": 1}


def test_only_wanted_events(tmp_path):
    conditions = [
        made.condition(1, made.FEVER, made.ICD_R509),
        made.condition(1, made.COUGH, made.ICD_R509),
        made.condition(1, made.COUGH),
        made.condition(1, 0, 0, "sore throat"),
        made.condition(1, made.CHILLS, 0, "sore throat"),
    ]
    found = records(tmp_path, condition_occurrence=conditions)

    def codings(*wanted):
        return [row["entry"].codings for row in happened(reopened(tmp_path), frozenset(wanted))]

    assert codings(FEVER) == [(R509, FEVER)]
    assert codings(Coding("ICD10CM", "R509")) == [(R509, FEVER), (R509, COUGH)]  # as ICD codes are compared
    assert codings(Coding("local", "sore throat")) == [(Coding("local", "sore throat"),)]
    assert codings() == codings(Coding("SNOMED", "1")) == []
    assert len(happened(found)) == 5


def test_the_query_reads_wanted_rows_only_unless_there_are_too_many(tmp_path, monkeypatch):
    read = []
    stream = database.Database.stream

    def counted(self, statement, what):
        for cells in stream(self, statement, what):
            read.append(len(next(iter(cells.values()))))
            yield cells

    monkeypatch.setattr(database.Database, "stream", counted)
    conditions = [made.condition(1, made.COUGH)] * 9 + [made.condition(1, made.FEVER)]
    records(tmp_path, condition_occurrence=conditions)
    assert len(happened(reopened(tmp_path), frozenset({FEVER}))) == sum(read) == 1
    read.clear()
    monkeypatch.setattr(omop, "_PUSHED", 0)
    assert len(happened(reopened(tmp_path), frozenset({FEVER}))) == 1
    assert sum(read) == 10


def test_expand(tmp_path):
    found = records(tmp_path)
    both, family = Coding("ICD10CM", "J99.8"), Coding("ICD10CM", "Z83.1")
    expansion = found.expand(frozenset({FEVER, COUGH, R50, both, family, Coding("hill", "FEB")}))
    assert expansion.descendants == {
        FEVER: {FEVER, CHILLS},
        COUGH: {COUGH},
        R50: {R50, R509, R5081, FEVER, CHILLS},
        both: {both},  # which says more than either
        family: {family},
        Coding("hill", "FEB"): {Coding("hill", "FEB")},
    }
    assert expansion.unknown == frozenset()
    assert expansion.flat == {"hill"}
    several = (
        "codes that map to several standard concepts, or to a concept with a value: seen under their own code only"
    )
    assert found.account.counts == {several: 2}


def test_codes_that_the_vocabulary_lacks(tmp_path):
    found = records(tmp_path)
    strange = [
        Coding("SNOMED", "38666100"),
        Coding("LOINC", "8310-6"),
        Coding("ICD10CM", "R50.8"),
        Coding("HPO", "HP:1"),
    ]
    known = [FEVER, Coding("ICD10CM", "r509"), Coding("local", "sore throat"), Coding("LOINC", "8310-5")]
    expansion = found.expand(frozenset([*strange, *known]))
    assert expansion.unknown == frozenset(strange)
    assert expansion.descendants[strange[0]] == {strange[0]}
    assert expansion.flat == {"LOINC", "local", "HPO"}


def test_a_vocabulary_without_hierarchy_says_so(tmp_path):
    ancestors = {"ancestor_concept_id": int, "descendant_concept_id": int, "min_levels_of_separation": int}
    assert records(tmp_path, concept_ancestor=ancestors).expand(frozenset({FEVER})).flat == {"SNOMED"}


def test_what_the_database_lacks_is_all_said_at_once(tmp_path):
    lacking = made.tables(person=[{"person_id": 1}], concept=[{"concept_id": 1, "concept_name": "x"}])
    del lacking["device_exposure"], lacking["concept_ancestor"]
    write(file_engine("sqlite", tmp_path), lacking)
    with pytest.raises(CohortError) as caught:
        reopened(tmp_path)
    told = str(caught.value)
    assert told.startswith("records: 4 problems")
    assert 'table "person": no column year_of_birth; it is that of the OMOP CDM 5.4' in told
    assert 'table "device_exposure": the database has no such table or view' in told
    assert "leave it out of records.tables" in told
    assert 'table "concept": no column vocabulary_id, concept_code' in told
    assert 'table "concept_ancestor": the database has no such table' in told


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        (
            "concept",
            dict.fromkeys(made.VOCABULARY["concept"][0], str),
            'table "concept" is empty; load the vocabularies',
        ),
        (
            "condition_occurrence",
            [made.condition(1, "437663")],
            'table "condition_occurrence": condition_concept_id holds text, not whole numbers',
        ),
    ],
)
def test_tables_that_would_be_misread(tmp_path, table, content, said):
    with pytest.raises(CohortError, match=said):
        records(tmp_path, **{table: content})


def test_no_such_table_of_events(tmp_path):
    with pytest.raises(ValueError, match='"notes" is no table of events; expected some of condition_occurrence'):
        reopened(tmp_path, keys={"tables": ["notes"]})


def test_dates_as_text(tmp_path):
    texts = {"visit_start_date": "2008-03-05", "visit_start_datetime": "2008-03-05 12:30:00"}
    texts |= {"visit_end_date": "2008-03-06", "visit_end_datetime": ""}
    found = records(tmp_path, visit_occurrence=[made.visit(1, 1) | texts])
    (row,) = rows(found.encounters())
    assert (row["start"], row["end"]) == (datetime(2008, 3, 5, 12, 30), datetime(2008, 3, 6, 23, 59, 59, 999999))


def test_times_that_cannot_be_read_are_counted_and_not_shown(tmp_path):
    found = records(
        tmp_path, visit_occurrence=[made.visit(1, 1) | {"visit_start_date": "5 March", "visit_start_datetime": ""}]
    )
    with pytest.raises(CohortError, match='table "visit_occurrence", start_date: 1 times cannot be read') as caught:
        list(found.encounters())
    assert "March" not in str(caught.value)


def test_the_hospital_s_clock(tmp_path):
    texts = {"visit_start_date": "2008-03-05", "visit_start_datetime": "2008-03-05T23:30:00Z"}
    found = records(tmp_path, keys={"timezone": "Europe/Vienna"}, visit_occurrence=[made.visit(1, 1) | texts])
    assert rows(found.encounters())[0]["start"] == datetime(2008, 3, 6, 0, 30)


@pytest.fixture
def everything():
    """Give tables with some thousand rows of every kind."""
    draw = random.Random(7)
    concepts = [made.FEVER, made.COUGH, made.CHILLS, 0, 77]
    times = [made.at(draw.randrange(24), draw.randrange(60)) for _ in range(50)] + [None, made.at(0)]
    conditions = [
        made.condition(
            draw.choice([1, 2, 3, 4, 99, None]),
            draw.choice(concepts),
            draw.choice([0, made.ICD_R509, made.FEB]),
            draw.choice([None, "R50.9", "sore"]),
            draw.choice(times),
            draw.choice([0, 0, made.RULED_OUT]),
        )
        for _ in range(300)
    ]
    valued = [
        {
            "number": draw.choice([None, 36.6, 38.9, 101]),
            "answer": draw.choice([0, made.POSITIVE, made.NO]),
            "unit": draw.choice([0, made.CELSIUS, made.FAHRENHEIT]),
            "time": draw.choice(times),
            "unit_source_value": draw.choice([None, "C"]),
            "value_source_value": draw.choice([None, "negative"]),
        }
        for _ in range(300)
    ]
    measurements = [made.measurement(1, made.TEMPERATURE, operator_concept_id=made.BELOW, **one) for one in valued]
    observations = [made.observation(2, made.SYMPTOM, value_as_string="no", **one) for one in valued]
    visits = made.VISITS + [
        made.visit(n, draw.randint(1, 4), draw.choice([9201, 9202, 581477])) for n in range(20, 400)
    ]
    return {
        "condition_occurrence": conditions,
        "measurement": measurements,
        "observation": observations,
        "visit_occurrence": visits,
    }


def test_every_database_gives_the_same(tmp_path, everything, postgres, secret, monkeypatch):
    monkeypatch.setattr(database, "BATCH", 100)
    postgres.execute("DROP SCHEMA IF EXISTS cdm CASCADE", "DROP SCHEMA IF EXISTS words CASCADE")
    tables = made.tables(**everything)
    write(postgres.engine(), {name: rows for name, rows in tables.items() if name not in made.VOCABULARY}, "cdm")
    write(postgres.engine(), made.VOCABULARY, "words")
    keys = {"url": postgres.url(), "password": secret, "schema": "cdm", "vocabulary_schema": "words"}
    opened = [open_records(read_section({"kind": "omop", **keys}), tmp_path)]
    opened += [records(tmp_path, kind, **everything) for kind in ("sqlite", "duckdb")]
    codes = frozenset({FEVER, R50, Coding("hill", "FEB")})
    for wanted in (None, frozenset({FEVER, R509, Coding("local", "sore")})):
        told = [sorted(map(repr, happened(one, wanted))) for one in opened]
        assert told[0] == told[1] == told[2]
        assert len(told[0]) > (700 if wanted is None else 80)
    stays = [sorted(map(repr, rows(one.encounters()))) for one in opened]
    assert stays[0] == stays[1] == stays[2]
    assert opened[0].account.counts == opened[1].account.counts == opened[2].account.counts
    assert opened[0].expand(codes) == opened[1].expand(codes) == opened[2].expand(codes)


def test_a_server_that_goes_away_between_two_batches(tmp_path, everything, postgres, secret, monkeypatch):
    monkeypatch.setattr(database, "BATCH", 100)
    postgres.execute("DROP SCHEMA IF EXISTS gone CASCADE")
    write(postgres.engine(), made.tables(**everything), "gone")
    section = {"kind": "omop", "url": postgres.url(), "password": secret, "schema": "gone"}
    batches = open_records(read_section(section), tmp_path).events(None)
    next(batches)
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
    )
    with pytest.raises(CohortError, match=r'^table ".*": the database went away in the middle'):
        list(batches)
