"""Where a database is: the address without a password, and the settings that keep Sitebridge from writing there."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from client.records.secrets import Secret
from common.errors import CohortError, ConfigError
from common.toml import Declared, resolve

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

NEEDS_EXTRA = "databases need the extra: pip install 'sitebridge[records]'"
_SECRETS = ("pass", "pwd", "secret", "token")
_LIKE = 'expected such as "postgresql://reader@db.example/omop", "duckdb:///omop.duckdb" or "sqlite:///omop.sqlite"'
_WAIT = 20  # seconds for a server to answer
_SQLITE = b"SQLite format 3\0"


class DatabaseSection(Declared):
    """The keys of ``[records]`` that say where a database is.

    Attributes
    ----------
    url : str
        Of SQLAlchemy; without a password. Files of DuckDB and SQLite are relative to the site file.
    password : Secret, optional
    """

    url: str
    password: Secret | None = None

    @field_validator("url", mode="before")
    @classmethod
    def _without_password(cls, value: Any) -> Any:
        """Refuse what is no address in words that do not quote it, as it may hold a password."""
        try:
            url = parse_url(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if url.password is not None or any(word in key.lower() for key in url.query for word in _SECRETS):
            raise ValueError('holds a password; take it out and name where it lies by password = { env = "NAME" }')
        return value


def parse_url(value: Any) -> URL:
    """Read an address; ``postgresql://`` is read by psycopg 3.

    Raises
    ------
    ConfigError
        It is none, or SQLAlchemy is not installed.
    """
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError:
        raise ConfigError(NEEDS_EXTRA) from None
    try:
        url = make_url(value)
    except (ArgumentError, ValueError, TypeError):
        raise ConfigError(f"is not the address of a database; {_LIKE}") from None
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def open_engine(section: DatabaseSection, folder: Path) -> Engine:
    """Make an engine whose connections cannot write, as far as its kind of database has a setting for that.

    Raises
    ------
    ConfigError
        There is no such file or kind of database, its driver is not installed, or the password is not where it should
        be.
    CohortError
        A file is cut short.
    """
    url = parse_url(section.url)
    name = url.get_backend_name()
    if section.password is not None:
        if name in ("sqlite", "duckdb") or url.username is None:
            raise ConfigError("records.password: records.url names no user whose password it could be; add one or none")
        url = url.set(password=section.password.read(folder, "records.password"))
    if name in ("sqlite", "duckdb"):
        return _of_file(url, folder)
    if name == "postgresql":
        return _create(url, connect_args={"connect_timeout": _WAIT}).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    return _create(url)


def _of_file(url: URL, folder: Path) -> Engine:
    path = resolve(url.database or "", folder)
    if not url.database or url.database == ":memory:" or not path.is_file():
        raise ConfigError(f"records.url: no such file: {url.database or ''}; {_LIKE}")
    if url.get_backend_name() == "duckdb":
        return _create(url.set(database=str(path)), connect_args={"read_only": True})
    _check_whole(path)
    from sqlalchemy import event

    engine = _create(
        url.set(database=str(path)),
        creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_WAIT),
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))  # one snapshot for all reads
    return engine


def _check_whole(path: Path) -> None:
    """Refuse a file of SQLite whose last page is cut, which SQLite reads as zeros (https://sqlite.org/fileformat2.html)."""
    try:
        with path.open("rb") as file:
            head = file.read(18)
        size = path.stat().st_size
    except OSError:
        raise CohortError("records.url: the file cannot be read; check that this user may read it") from None
    page = int.from_bytes(head[16:18], "big")
    if head.startswith(_SQLITE) and size % (65536 if page == 1 else page or 1):
        raise CohortError("records.url: the database's file is cut short; copy it again")


def _create(url: URL, **settings: Any) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)  # what it logs quotes the driver
    try:
        return create_engine(url, hide_parameters=True, **settings)
    except ImportError:
        raise ConfigError(f"records.url: the driver of {url.drivername} is not installed; {NEEDS_EXTRA}") from None
    except (NoSuchModuleError, ArgumentError):
        raise ConfigError(f"records.url: {url.drivername} is no kind of database known here; {_LIKE}") from None
