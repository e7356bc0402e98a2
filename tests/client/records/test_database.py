"""Databases: their addresses and passwords, what goes wrong, and batches from them."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest
from made_database import file_engine, write
from sqlalchemy import column, select, table, text

from client.records import database as reader
from client.records.database import Database
from client.records.database_cells import as_array, whole
from client.records.database_urls import DatabaseSection
from common.errors import CohortError, ConfigError
from common.toml import check

SECRET = "s3cret-of-the-hill"
ROWS = [{"id": number, "seen": datetime(2008, 3, 5, 12, 30), "note": f"note {number}"} for number in range(25)]
PEOPLE = table("people", column("id"), column("seen"), column("note"))


def section(**keys):
    return check(keys, DatabaseSection, "site.toml")


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def people(request, tmp_path):
    """Give a section for each kind of database with one table."""
    if request.param != "postgresql":
        write(file_engine(request.param, tmp_path), {"people": ROWS})
        return section(url=f"{request.param}:///records.{request.param}")
    server, password = request.getfixturevalue("postgres"), request.getfixturevalue("secret")
    server.execute("DROP TABLE IF EXISTS people")
    write(server.engine(), {"people": ROWS})
    return section(url=server.url(), password=password)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://reader:{SECRET}@db/omop",
        f"postgresql://reader@db/omop?password={SECRET}",
        f"mssql+pyodbc://reader@db/omop?PWD={SECRET}",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_shown(url):
    with pytest.raises(ConfigError, match="holds a password; take it out") as caught:
        section(url=url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", [f"reader:{SECRET}", 5, "", ["postgresql://db"]])
def test_what_is_no_address_is_refused_and_not_shown(url):
    with pytest.raises(ConfigError, match=r"url: is not the address of a database; expected such as") as caught:
        section(url=url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "password", [SECRET, {"value": SECRET}, {"env": SECRET, "file": SECRET}, {"env": SECRET}, {"env": 5}, {"file": ""}]
)
def test_a_password_in_the_site_file_is_refused_and_not_shown(password):
    with pytest.raises(ConfigError, match=r'password: expected where it lies, \{ env = "NAME" \}') as caught:
        section(url="postgresql://reader@db/omop", password=password)
    assert SECRET not in str(caught.value)


def test_a_password_is_read_from_a_file_or_a_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("HUSH", SECRET)
    (tmp_path / "hush").write_text(SECRET + "\n")
    for place in ({"env": "HUSH"}, {"file": "hush"}):
        found = section(url="postgresql://reader@db/omop", password=place)
        assert found.password.read(tmp_path, "records.password") == SECRET
        assert SECRET not in repr(found)


def test_a_password_that_is_not_there(tmp_path):
    (tmp_path / "empty").write_text("\n")
    for place, said in (
        ({"env": "NOT_SET"}, "not set"),
        ({"file": "none"}, "cannot be read"),
        ({"file": "empty"}, "is empty"),
    ):
        with pytest.raises(ConfigError, match=f"records.password.*{said}"):
            Database(section(url="postgresql://reader@127.0.0.1/omop", password=place), tmp_path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///none.sqlite", "no such file: none.sqlite"),
        ("duckdb:///none.duckdb", "no such file: none.duckdb"),
        ("sqlite://", "no such file"),
        ("duckdb:///:memory:", "no such file: :memory:"),
        ("nosuch://db/omop", "nosuch is no kind of database known here"),
        ("oracle+oracledb://reader@db/omop", "the driver of oracle.oracledb is not installed"),
    ],
)
def test_addresses_of_nothing(tmp_path, url, said):
    with pytest.raises(ConfigError, match=f"records.url: {said}"):
        Database(section(url=url), tmp_path)


def test_a_password_for_a_file_is_refused(tmp_path, secret):
    with pytest.raises(ConfigError, match=r"records\.password: records\.url names no user"):
        Database(section(url="sqlite:///x.sqlite", password=secret), tmp_path)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database(tmp_path, kind):
    (tmp_path / "x").write_text("a file that holds something else, and is longer than any header would be" * 100)
    with pytest.raises(CohortError, match="the file is no database of this kind"):
        Database(section(url=f"{kind}:///x"), tmp_path).columns(PEOPLE, "people")


def test_a_server_that_does_not_answer(tmp_path):
    with pytest.raises(CohortError, match=r"records\.url: the database cannot be reached; check host and port"):
        Database(section(url="postgresql://reader@127.0.0.1:1/omop"), tmp_path)


def test_a_refused_login(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv("WRONG", SECRET)
    for user in ("keeper", "stranger"):
        found = section(url=postgres.url(user=user), password={"env": "WRONG"})
        with pytest.raises(CohortError, match=r"records\.url: the database refuses the login") as caught:
            Database(found, tmp_path)
        assert SECRET not in str(caught.value)
    with pytest.raises(CohortError, match="refuses the login"):
        Database(section(url=postgres.url()), tmp_path)


def test_a_server_without_this_database(tmp_path, postgres, secret):
    with pytest.raises(CohortError, match=r"records\.url: the server has no such database"):
        Database(section(url=postgres.url("none"), password=secret), tmp_path)


def test_batches(tmp_path, people, monkeypatch):
    monkeypatch.setattr(reader, "BATCH", 10)
    database = Database(people, tmp_path)
    assert database.columns(PEOPLE, "people") == ["id", "seen", "note"]
    batches = list(database.stream(select(PEOPLE).order_by(PEOPLE.c.id), "people"))
    assert [len(batch["id"]) for batch in batches] == [10, 10, 5]
    assert [number for batch in batches for number in batch["id"].to_pylist()] == list(range(25))
    assert batches[2]["note"].to_pylist()[-1] == "note 24"
    assert list(database.stream(select(PEOPLE).where(PEOPLE.c.id > 99), "people")) == []


def test_two_results_at_once(tmp_path, people, monkeypatch):
    monkeypatch.setattr(reader, "BATCH", 10)
    database = Database(people, tmp_path)
    first = database.stream(select(PEOPLE.c.id).order_by(PEOPLE.c.id), "people")
    next(first)
    assert len(database.rows(select(PEOPLE.c.note), "people")) == 25
    second = database.stream(select(PEOPLE.c.id).order_by(PEOPLE.c.id.desc()), "people")
    assert next(second)["id"].to_pylist() == [*range(24, 14, -1)]
    assert next(first)["id"].to_pylist() == [*range(10, 20)]


def test_what_is_missing(tmp_path, people):
    database = Database(people, tmp_path)
    for _ in range(2):
        with pytest.raises(CohortError, match=r"records\.x: the database has no such table or view"):
            database.columns(table("none"), "records.x")
    with pytest.raises(CohortError, match=r"records\.x: the database lacks a column"):
        list(database.stream(select(column("none")).select_from(PEOPLE), "records.x"))


def test_nothing_can_be_written(tmp_path, people):
    database = Database(people, tmp_path)
    with pytest.raises(CohortError):
        database.rows(text("INSERT INTO people (id) VALUES (99) RETURNING id").columns(column("id")), "records.x")
    database = Database(people, tmp_path)
    assert len(database.rows(select(PEOPLE), "people")) == 25


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_all_is_read_as_it_was_at_the_first_reading(tmp_path, kind, request):
    if kind == "sqlite":
        engine = file_engine(kind, tmp_path)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        found = section(url="sqlite:///records.sqlite")
    else:
        server = request.getfixturevalue("postgres")
        server.execute("DROP TABLE IF EXISTS people")
        engine, found = server.engine(), section(url=server.url(), password=request.getfixturevalue("secret"))
    write(engine, {"people": ROWS})
    database = Database(found, tmp_path)
    assert len(database.rows(select(PEOPLE), "people")) == 25
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM people"))
    engine.dispose()
    assert sum(len(batch["id"]) for batch in database.stream(select(PEOPLE), "people")) == 25
    database.close()


def test_a_server_that_goes_away_in_the_middle(tmp_path, postgres, secret, monkeypatch):
    monkeypatch.setattr(reader, "BATCH", 10)
    postgres.execute("DROP TABLE IF EXISTS people")
    write(postgres.engine(), {"people": ROWS})
    database = Database(section(url=postgres.url(), password=secret), tmp_path)
    batches = database.stream(select(PEOPLE), "records.events")
    next(batches)
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
    )
    with pytest.raises(
        CohortError, match=r"^records\.events: the database went away in the middle; nothing was written"
    ):
        list(batches)


def test_a_server_that_stops_the_query(tmp_path, postgres, secret):
    postgres.execute("ALTER ROLE keeper SET statement_timeout = '200ms'")
    try:
        database = Database(section(url=postgres.url(), password=secret), tmp_path)
        with pytest.raises(CohortError, match="the database stopped the query, perhaps by a time limit"):
            list(database.stream(select(text("pg_sleep(5)")), "records.events"))
    finally:
        postgres.execute("ALTER ROLE keeper RESET statement_timeout")


def test_rights(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv("LOW", "low")
    postgres.execute("DROP TABLE IF EXISTS people", "DROP ROLE IF EXISTS low", "CREATE ROLE low LOGIN PASSWORD 'low'")
    write(postgres.engine(), {"people": ROWS})
    database = Database(section(url=postgres.url(user="low"), password={"env": "LOW"}), tmp_path)
    with pytest.raises(CohortError, match="people: this user may not read it; grant SELECT"):
        database.columns(PEOPLE, "people")


def test_no_driver_s_words_are_passed_on(tmp_path, postgres, secret):
    database = Database(section(url=postgres.url(), password=secret), tmp_path)
    casts = select(text("CAST(x AS integer) FROM (VALUES ('12'), ('Meier')) AS rows_(x)"))
    with pytest.raises(CohortError) as caught:
        list(database.stream(casts, "records.events"))
    assert str(caught.value) == (
        "records.events: the database or its driver reports an error (InvalidTextRepresentation, SQLSTATE 22P02); its "
        "log says more, which may quote patients"
    )
    assert caught.value.__suppress_context__


def test_text_that_is_no_text_is_not_quoted(tmp_path):
    with sqlite3.connect(tmp_path / "x.sqlite") as connection:
        connection.execute("CREATE TABLE people (id, seen, note TEXT)")
        connection.execute("INSERT INTO people VALUES (1, 2, CAST(X'4D65696572FF' AS TEXT))")
    connection.close()
    with pytest.raises(CohortError, match="people: the database or its driver reports") as caught:
        list(Database(section(url="sqlite:///x.sqlite"), tmp_path).stream(select(PEOPLE), "people"))
    assert "Meier" not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, None, 3], pa.array([1, None, 3], pa.int64())),
        ([1.5, 2], pa.array([1.5, 2.0])),
        ([Decimal("7"), Decimal("8.0"), None], pa.array([7, 8, None], pa.int64())),
        ([Decimal("7.5"), 1], pa.array([7.5, 1.0])),
        ([2**70, 1], pa.array([str(2**70), "1"])),
        ([2**60, 0.5], pa.array([str(2**60), "0.5"])),
        (["a", 1, 2.0, None], pa.array(["a", "1", "2", None])),
        ([None, None], pa.nulls(2)),
        ([38.900001525878906, 0.25, None], pa.array([38.9, 0.25, None])),  # of float32
        ([38.900001525878906, 0.1], pa.array([38.900001525878906, 0.1])),
        ([True, None], pa.array([True, None])),
        ([date(2008, 3, 5)], pa.array([date(2008, 3, 5)])),
        ([UUID(int=5)], pa.array([str(UUID(int=5))])),
    ],
)
def test_cells(cells, expected):
    assert as_array(cells, "x").equals(expected)


@pytest.mark.parametrize("cells", [[b"Meier"], [["Meier"]], [{"Meier": 1}], [1, datetime(2008, 3, 5)]])
def test_cells_of_other_types_are_refused_and_not_shown(cells):
    with pytest.raises(CohortError, match=r"^x: holds .*; expected text, numbers or times") as caught:
        as_array(cells, "x")
    assert "Meier" not in str(caught.value)


def test_concepts_are_whole_numbers():
    assert whole(pa.array([1, None]), "x").tolist() == [1, 0]
    assert whole(pa.array([1.0, None]), "x").tolist() == [1, 0]
    assert whole(pa.nulls(2), "x").tolist() == [0, 0]
    for wrong in (pa.array([1.5]), pa.array(["1"])):
        with pytest.raises(CohortError, match=r"^x: holds"):
            whole(wrong, "x")


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize("left", [0.5, 0.999])
def test_a_file_that_was_cut_short(tmp_path, kind, left):
    """SQLite itself would read what lacks of the last page as zeros."""
    write(file_engine(kind, tmp_path), {"people": ROWS * 4000})
    path = tmp_path / f"records.{kind}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
    with pytest.raises(CohortError, match="cut short; copy it again") as caught:
        list(Database(section(url=f"{kind}:///records.{kind}"), tmp_path).stream(select(PEOPLE), "people"))
    assert "note" not in str(caught.value)


def test_a_cut_last_page_of_sqlite(tmp_path):
    write(file_engine("sqlite", tmp_path), {"people": ROWS})
    path = tmp_path / "records.sqlite"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CohortError, match=r"records\.url: the database's file is cut short; copy it again"):
        Database(section(url="sqlite:///records.sqlite"), tmp_path)
