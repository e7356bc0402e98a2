"""What a database reports, in our words: the driver's own may quote a row or the password, and are never passed on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from common.errors import CohortError

GONE = "the database went away in the middle; nothing was written: see that it runs, and start again"
_TABLE = "the database has no such table or view, or this user may not see it; check its name and schema"
_COLUMN = "the database lacks a column that is asked for; check the names"
_SYNTAX = "the database cannot read the query; try it in the database's own client"
_STOPPED = "the database stopped the query, perhaps by a time limit; raise the limit for this user"
_WRITES = "the query would write, and Sitebridge only reads; make it a SELECT that changes nothing"
_STATES = {  # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "42P01": _TABLE,
    "3F000": _TABLE,
    "42703": _COLUMN,
    "42601": _SYNTAX,
    "42501": "this user may not read it; grant SELECT on it",
    "57014": _STOPPED,
    "25006": _WRITES,
}
_SAYINGS = {  # beginnings of what SQLite and DuckDB say, in lower case
    "no such table": _TABLE,
    "catalog error: table": _TABLE,
    "catalog error: schema": _TABLE,
    "no such column": _COLUMN,
    "binder error: referenced column": _COLUMN,
    "parser error": _SYNTAX,
    'near "': _SYNTAX,
    "attempt to write": _WRITES,
    "database is locked": "another program is writing to the database's file; wait for it and start again",
    "file is not a database": "the file is no database of this kind; check records.url",
    "io error: could not read": "the database's file is damaged or cut short; copy it again",
    "database disk image is malformed": "the database's file is damaged or cut short; copy it again",
}
_LOGIN = (
    "records.url: the database refuses the login; check the user in records.url and the password that records.password "
    "names"
)
_NO_DATABASE = "records.url: the server has no such database; check the name at the end of records.url"
_UNREACHABLE = "records.url: the database cannot be reached; check host and port, and that it runs and can be read"
_LOCKED = "records.url: another program has the database open for writing; close it and start again"
_NO_FILE = "records.url: the file is no database of this kind; check the address"
_AT_LOGIN = {  # parts of what drivers say when a connection fails, in lower case
    "authentication failed": _LOGIN,
    "no password supplied": _LOGIN,
    "access denied": _LOGIN,
    "no pg_hba.conf entry": _LOGIN,
    "role ": _LOGIN,
    "database ": _NO_DATABASE,
}
_CUT = "records.url: the database's file is damaged or cut short; copy it again"
_AT_FILE = {"could not set lock": _LOCKED, "not a valid": _NO_FILE, "could not read enough": _CUT}


@contextmanager
def connecting(files: bool) -> Iterator[None]:
    """Turn what goes wrong while a connection is made into a CohortError.

    Parameters
    ----------
    files : bool
        The database is a file, not a server.
    """
    try:
        yield
    except (SQLAlchemyError, OSError, RuntimeError, ValueError) as error:
        said = _said(error)
        parts = _AT_FILE if files else _AT_LOGIN
        raise CohortError(next((words for part, words in parts.items() if part in said), _UNREACHABLE)) from None


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what goes wrong while a table or query is read into a CohortError that begins with `what`."""
    try:
        yield
    except (SQLAlchemyError, OSError, RuntimeError, ValueError, ArithmeticError) as error:
        raise CohortError(f"{what}: {_explain(error)}") from None


def _explain(error: Exception) -> str:
    state = str(getattr(_origin(error), "sqlstate", None) or "")
    if (isinstance(error, DBAPIError) and error.connection_invalidated) or state.startswith(("08", "57P")):
        return GONE
    said = _said(error)
    words = _STATES.get(state) or next((words for start, words in _SAYINGS.items() if said.startswith(start)), None)
    if words is not None:
        return words
    kind = f"{type(_origin(error)).__name__}{f', SQLSTATE {state}' if state else ''}"
    return f"the database or its driver reports an error ({kind}); its log says more, which may quote patients"


def _said(error: Exception) -> str:
    return str(_origin(error)).strip().lower()


def _origin(error: Exception) -> Any:
    return getattr(error, "orig", None) or error
