"""A database that is read and never written: row by row from the server, in batches of Arrow arrays."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped]

from client.records.database_cells import as_array
from client.records.database_urls import NEEDS_EXTRA, DatabaseSection, open_engine
from common.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, FromClause, Select

BATCH = 50_000  # rows
_ONE_CONNECTION = ("postgresql", "sqlite")  # read several results at once by one connection
_EXACT_NAMES = ("postgresql", "sqlite", "duckdb")


class Database:
    """One database, open for reading.

    Everything is read in one snapshot, so that what is written meanwhile is not seen: in PostgreSQL by a transaction of
    isolation REPEATABLE READ that may not write, in SQLite by one transaction on a file opened to be read only. DuckDB
    has no writer while it is open. Other kinds go by their own defaults.

    Raises
    ------
    CohortError
        It cannot be reached, or refuses the login.
    ConfigError
        See `database_urls.open_engine`.
    """

    def __init__(self, section: DatabaseSection, folder: Path) -> None:
        try:
            from client.records.database_errors import connecting, reading
        except ImportError:
            raise ConfigError(NEEDS_EXTRA) from None
        self._reading, self._connecting = reading, connecting
        self._engine = open_engine(section, folder)
        self._files = self._engine.dialect.name in ("sqlite", "duckdb")
        with connecting(self._files):
            self._snapshot = self._engine.connect()
        self.close = weakref.finalize(self, _close, self._snapshot, self._engine)

    def columns(self, source: FromClause, what: str) -> list[str]:
        """Give the names of a table's or query's columns, so that a query may name them as they are.

        Raises
        ------
        CohortError
            There is no such table, or the query cannot be read; `what` says which, for people.
        """
        from sqlalchemy import literal_column, quoted_name, select

        exact = True if self._engine.dialect.name in _EXACT_NAMES else None  # others say capitals as small letters
        with self._reading(what), self._engine.connect() as connection:  # its own: an error ends a transaction
            result: Any = connection.execute(select(literal_column("*")).select_from(source).limit(0))
            names = list(result.keys())
        return [quoted_name(name, exact) for name in names]

    def rows(self, statement: Select[Any], what: str) -> list[Any]:
        """Give all rows of a small result; raises as `stream` does."""
        with self._reading(what), self._connection() as connection:
            return list(connection.execute(statement).all())

    def stream(self, statement: Select[Any], what: str) -> Iterator[dict[str, pa.Array]]:
        """Give a result's columns by name, `BATCH` rows at a time.

        Raises
        ------
        CohortError
            A table or column is missing, the database goes away, or it holds what is no text, number or time; `what`
            says where, for people.
        """
        with self._connection() as connection:
            with self._reading(what):
                result: Any = connection.execute(statement.execution_options(yield_per=BATCH))
                names, parts = list(result.keys()), result.partitions(BATCH)
            try:
                while rows := self._next(parts, what):
                    cells = zip(names, zip(*rows, strict=True), strict=True)
                    yield {name: as_array(values, f'{what}, column "{name}"') for name, values in cells}
            finally:
                with suppress(Exception):  # of a server that is gone already
                    result.close()

    def _next(self, parts: Iterator[Any], what: str) -> Any:
        with self._reading(what):
            return next(parts, None)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Give the connection of the snapshot; where it cannot read two results at once, one for each."""
        if self._engine.dialect.name in _ONE_CONNECTION:
            yield self._snapshot
            return
        with self._connecting(self._files):
            connection = self._engine.connect()
        try:
            yield connection
        finally:
            with suppress(Exception):
                connection.close()


def _close(connection: Connection, engine: Engine) -> None:
    for close in (connection.invalidate, connection.close, engine.dispose):  # the first asks nothing of a lost server
        with suppress(Exception):
            close()
