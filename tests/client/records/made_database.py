"""Writes tables into a database of any kind, for the tests."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Date, DateTime, Float, MetaData, String, Table, create_engine
from sqlalchemy.schema import CreateSchema

_TYPES = {int: BigInteger, float: Float, str: String, datetime: DateTime, date: Date, bool: BigInteger}


def file_engine(kind, folder):
    """Open a new file of SQLite or DuckDB for writing."""
    return create_engine(f"{kind}:///{folder / f'records.{kind}'}")


def write(engine, tables, schema=None):
    """Create tables, each a list of rows of the same columns or a dict of column to type, and fill them."""
    metadata = MetaData(schema=schema)
    with engine.begin() as connection:
        if schema is not None:
            connection.execute(CreateSchema(schema))
        for name, rows in tables.items():
            columns = rows if isinstance(rows, dict) else _columns(rows)
            table = Table(name, metadata, *(Column(own, _TYPES[kind]) for own, kind in columns.items()))
            table.create(connection)
            if rows and not isinstance(rows, dict):
                connection.execute(table.insert(), [dict.fromkeys(columns) | row for row in rows])
    engine.dispose()


def _columns(rows):
    found = {}
    for row in rows:
        for name, value in row.items():
            if found.get(name) in (None, type(None)) or isinstance(value, float):  # a column of whole numbers rounds
                found[name] = type(value)
    return {name: str if kind is type(None) else kind for name, kind in found.items()}
