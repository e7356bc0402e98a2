"""Records in two views or queries of a database."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from made_database import file_engine, write

from client.records import database
from client.records.contract import ENCOUNTERS, EVENTS, Coding
from client.records.section import open_records, read_section
from client.records.sql import SqlSection
from common.cli import main
from common.errors import CohortError, ConfigError
from common.toml import check

STAYS = [
    {
        "encounter": 1,
        "patient": 7,
        "start": datetime(2008, 3, 5, 12),
        "end": datetime(2008, 3, 6, 1),
        "kind": "emergency",
        "birth": date(1990, 1, 2),
    },
    {"encounter": 2, "patient": 8, "start": datetime(2008, 3, 5)},
    {"encounter": None},
]
HAPPENED = [
    {
        "patient": 7,
        "encounter": 1,
        "time": datetime(2008, 3, 5, 13),
        "code": "SNOMED 49727002",
        "text": "Cough",
        "absent": 1,
    },
    {"patient": 7, "time": datetime(2008, 3, 5), "code": "LOINC 8310-5", "number": 38.9, "unit": "Cel"},
    {"patient": 8, "encounter": 2, "time": datetime(2008, 3, 5), "code": "HOT", "answer": "No"},
    {"patient": 8, "time": datetime(2008, 3, 5), "code": "HOT", "number": float("inf")},
    {"patient": 8},
]
KINDS = ["sqlite", "duckdb", "postgresql"]


@pytest.fixture
def keys(request, tmp_path):
    """Write both tables; give the keys that say where, for the kind of database asked for."""

    def made(kind, stays=STAYS, happened=HAPPENED):
        if kind != "postgresql":
            write(file_engine(kind, tmp_path), {"stays": stays, "happened": happened})
            return {"url": f"{kind}:///records.{kind}"}
        server, password = request.getfixturevalue("postgres"), request.getfixturevalue("secret")
        server.execute("DROP TABLE IF EXISTS stays", "DROP TABLE IF EXISTS happened")
        write(server.engine(), {"stays": stays, "happened": happened})
        return {"url": server.url(), "password": password}

    return made


def opened(folder, keys, **more):
    content = {"kind": "sql", "encounters": "stays", "events": "happened", **keys, **more}
    return open_records(read_section(content), folder)


def rows(batches):
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("kind", KINDS)
def test_two_views(tmp_path, keys, kind, monkeypatch):
    monkeypatch.setattr(database, "BATCH", 3)
    found = opened(tmp_path, keys(kind))
    stays, events = list(found.encounters()), list(found.events(None))
    assert all(batch.schema == ENCOUNTERS for batch in stays)
    assert all(batch.schema == EVENTS for batch in events)
    first, second, third = rows(stays)
    assert first == {
        "encounter": "1",
        "patient": "7",
        "start": datetime(2008, 3, 5, 12),
        "end": datetime(2008, 3, 6, 1),
        "kind": "emergency",
        "birth": datetime(1990, 1, 2),
    }
    assert (second["patient"], second["end"]) == ("8", None)
    assert set(third.values()) == {None}
    cough, hot, local, infinite = rows(events)
    entries = [found.codebook.entries[row["entry"]] for row in (cough, hot, local)]
    assert [entry.codings for entry in entries] == [
        (Coding("SNOMED", "49727002"),),
        (Coding("LOINC", "8310-5"),),
        (Coding("", "HOT"),),
    ]
    assert (entries[0].text, cough["encounter"], cough["absent"]) == ("Cough", "1", True)
    assert (hot["number"], hot["unit"], hot["absent"], infinite["number"]) == (38.9, "Cel", False, None)
    assert (local["answer"], local["absent"]) == ("No", True)
    assert found.account.counts == {
        "events without a code: left out": 1,
        "events whose code system is not stated: only seen as local codes": 2,
        "numbers that are not finite: taken as none": 1,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_queries(tmp_path, keys, kind):
    found = opened(
        tmp_path,
        keys(kind),
        encounters="WITH s AS (SELECT * FROM stays) SELECT s.*, start AS \"Beginn\" FROM s WHERE kind LIKE '%mer%';",
        events="select patient, time, code, 'x:y' AS text, 1 AS number from happened where '12:30 :x' <> code",
        columns={"start": "Beginn"},
    )
    assert [row["encounter"] for row in rows(found.encounters())] == ["1"]
    assert rows(found.encounters())[0]["start"] == datetime(2008, 3, 5, 12)
    assert [row["number"] for row in rows(found.events(None))] == [1.0] * 4
    assert found.codebook.entries[0].text == "x:y"


def test_only_wanted_events(tmp_path, keys):
    found = opened(tmp_path, keys("sqlite"))
    assert len(rows(found.events(frozenset({Coding("SNOMED", "49727002")})))) == 1


def test_codes_stand_for_themselves(tmp_path, keys):
    cough = Coding("SNOMED", "49727002")
    expansion = opened(tmp_path, keys("sqlite")).expand(frozenset({cough}))
    assert expansion.descendants == {cough: {cough}}
    assert (expansion.unknown, expansion.flat) == (frozenset(), {"SNOMED"})


@pytest.mark.parametrize("kind", KINDS)
def test_columns_that_lack_are_all_named(tmp_path, keys, kind):
    with pytest.raises(CohortError) as caught:
        opened(tmp_path, keys(kind), encounters="SELECT patient AS person FROM stays", columns={"time": "when_"})
    assert str(caught.value).startswith("records: 4 problems")
    for said in (
        'encounters: no column "patient"',
        'encounters: no column "encounter"',
        'encounters: no column "start"',
        'events: no column "when_"',
    ):
        assert said in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none", "records.encounters: the database has no such table or view"),
        ("SELECT FROM WHERE", "records.encounters: the database cannot read the query"),
        ("SELECT none FROM stays", "records.encounters: the database lacks a column"),
        ("WITH x AS (DELETE FROM stays RETURNING *) SELECT * FROM x", "records.encounters: the database"),
    ],
)
def test_queries_that_cannot_be_read(tmp_path, keys, kind, source, said):
    with pytest.raises(CohortError, match=said):
        opened(tmp_path, keys(kind), encounters=source)


def test_other_statements_are_refused(keys):
    for statement in ("DELETE FROM stays", "stays; DROP TABLE stays", ""):
        content = {"kind": "sql", "url": "sqlite:///x", "encounters": statement, "events": "happened"}
        with pytest.raises(ConfigError, match="encounters: expected the name of a view, or a query that begins with"):
            check(content, SqlSection, "site.toml")
    with pytest.raises(ConfigError, match='no column is called "strat"'):
        check(content | {"encounters": "stays", "columns": {"strat": "x"}}, SqlSection, "site.toml")


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        ({"time": "5 March"}, r"records.events, column for `time`: 1 times cannot be read"),
        ({"number": "Meier"}, r"records.events: 1 cells of the column for `number` are no numbers"),
        ({"absent": "Meier"}, r"records.events: 1 cells of the column for `absent` say neither"),
    ],
)
def test_cells_that_cannot_be_read_are_counted_and_not_shown(tmp_path, keys, happened, said):
    odd = {"patient": "7", "time": "2008-03-05", "code": "HOT", **happened}
    found = opened(tmp_path, keys("sqlite", happened=[odd]))
    with pytest.raises(CohortError, match=said) as caught:
        list(found.events(None))
    assert "Meier" not in str(caught.value)
    assert "March" not in str(caught.value)


def test_the_hospital_s_clock(tmp_path, keys):
    stays = [{"encounter": "1", "patient": "7", "start": "2008-03-05T23:30:00Z"}]
    found = opened(tmp_path, keys("sqlite", stays), timezone="Europe/Vienna")
    assert rows(found.encounters())[0]["start"] == datetime(2008, 3, 6, 0, 30)


@pytest.mark.parametrize("kind", ["duckdb", "postgresql"])
def test_times_with_a_zone(tmp_path, keys, kind):
    query = "SELECT encounter, patient, CAST('2008-03-05 23:30:00+00' AS timestamptz) AS start FROM stays"
    found = opened(tmp_path, keys(kind), encounters=query, timezone="Europe/Vienna")
    assert rows(found.encounters())[0]["start"] == datetime(2008, 3, 6, 0, 30)


def test_a_server_that_goes_away_leaves_the_old_table(tmp_path, capsys, keys):
    """The view of events ends its own connection, after the encounters and a batch of events were read."""
    many = [{"patient": n, "encounter": n, "time": datetime(2008, 3, 5), "code": "SNOMED 1"} for n in range(60_000)]
    found = keys("postgresql", [{**STAYS[0], "encounter": n, "patient": n} for n in range(20)], many)
    gone = "(SELECT pg_terminate_backend(pg_backend_pid())::text WHERE h.patient = 55000)"
    query = f"SELECT h.*, {gone} AS unit FROM happened AS h"
    where = f'url = "{found["url"]}"\npassword = {{ env = "{found["password"]["env"]}" }}\nencounters = "stays"'
    records = f'[records]\nkind = "sql"\n{where}\nevents = "{query}"\n'
    cohort = '[cohort]\ndefinition = "c.toml"\nfile = "cohort.parquet"\n'
    (tmp_path / "site.toml").write_text(f'name = "hill"\n{cohort}{records}')
    (tmp_path / "c.toml").write_text(
        'name = "c"\nwindow = { before = "24h", after = "24h" }\nlabel = { set = "a" }\n'
        'sets = { a = { codes = ["SNOMED 1"] } }\n'
        'ages = { agegroup = { cuts = [6, 65], names = ["ls5", "ge6ls65", "ge64"] } }\n'
        'split = { by = "hash", test = 0.2 }\n'
    )
    (tmp_path / "cohort.parquet").write_bytes(b"the old one")
    with pytest.raises(SystemExit):
        main(["site", "extract", "--site", str(tmp_path / "site.toml")])
    assert "Error: records.events: the database went away in the middle; nothing was written" in capsys.readouterr().err
    assert (tmp_path / "cohort.parquet").read_bytes() == b"the old one"
    assert {path.name for path in tmp_path.iterdir()} == {"site.toml", "c.toml", "cohort.parquet"}
