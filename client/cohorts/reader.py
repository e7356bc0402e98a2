"""Reads the columns of a CSV or Parquet file, some rows at a time, so that memory holds little more than codes.

Arrow's own messages quote rows: they are never passed on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pa_parquet  # type: ignore[import-untyped]

from client.cohorts.cells import Table, count_rows
from client.cohorts.columns import ColumnReader, IdReader, Meaning
from common.errors import CohortError

KINDS = (".csv", ".parquet")
BLOCK = 8 << 20  # bytes of a CSV read at a time: a row must fit into it
ROWS = 1 << 16  # of a Parquet file read at a time

_INDEX = re.compile(r"__index_level_[0-9]+__")  # what pandas adds to Parquet for an index of its own
_NO_CSV = "cannot be read as CSV; expected cells separated by commas, quotes closed, in UTF-8"


def read_header(path: Path) -> list[str]:
    """Give the names of the columns, without reading rows.

    Raises
    ------
    CohortError
        The file is missing, is neither CSV nor Parquet, or has no header.
    """
    if path.suffix.lower() not in KINDS:
        raise CohortError(f"{path.name}: expected a name that ends in .csv or .parquet")
    try:
        return _csv_header(path) if path.suffix.lower() == ".csv" else _parquet_header(path)
    except FileNotFoundError:
        raise CohortError(f"{path.name}: no such file in {path.parent}") from None
    except OSError:
        raise CohortError(f"{path.name}: cannot be opened; check that it is a file that this user may read") from None


def read_table(
    path: Path,
    names: Sequence[str],
    meanings: Mapping[str, Meaning] | None = None,
    ids: Mapping[str, int] | None = None,
) -> Table:
    """Read the columns `names`, all of which the file has.

    Parameters
    ----------
    meanings : mapping of str to callable, optional
        What the cells of a column mean: of all that mean the same, one is kept. However many different numbers or days
        a column holds, the table then holds few cells.
    ids : mapping of str to int, optional
        Columns to read as ids, each with the seed of its digests; a column may be in `names`, too.

    Raises
    ------
    CohortError
        The file cannot be read, a row of a CSV has cells too many or too few, or a column of Parquet no plain values.
    """
    columns = {name: ColumnReader((meanings or {}).get(name)) for name in names}
    named = {name: IdReader(seed) for name, seed in (ids or {}).items()}
    readers: list[tuple[str, ColumnReader | IdReader]] = [*columns.items(), *named.items()]
    count = 0
    for batch in _ahead(_batches(path, tuple(dict(readers)), names)):
        count += len(batch)
        for name, reader in readers:
            values = batch.column(name)
            try:
                reader.read(values)
            except pa.ArrowException:
                expected = "expected text, numbers, booleans or dates"
                raise CohortError(f'{path.name}: column "{name}" holds {values.type}; {expected}') from None
    rows = np.arange(1, count + 1, dtype=np.int64)
    read = {name: reader.column() for name, reader in columns.items()}
    return Table(path.name, read, rows, {name: reader.ids() for name, reader in named.items()})


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        raise CohortError(f"{path.name}: {_NO_CSV}") from None
    if not header:
        raise CohortError(f"{path.name}: the file is empty; expected a header and a row for each encounter")
    if any("\n" in name or "\r" in name for name in header):  # an open quote takes rows for a name
        raise CohortError(f"{path.name}: a line break in a column's name; close the quotes in the header")
    if len(header) == 1 and re.search("[;\t|]", header[0]):
        raise CohortError(f"{path.name}: {_NO_CSV}. The header holds no comma: was it exported with another separator?")
    return header


def _parquet_header(path: Path) -> list[str]:
    try:
        names: list[str] = pa_parquet.read_schema(path).names
    except (pa.ArrowException, ValueError):  # the latter: a name that is not UTF-8
        raise CohortError(f"{path.name}: cannot be read as Parquet; export it again") from None
    return [name for name in names if not _INDEX.fullmatch(name)]


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """Let Arrow read the next batch while this one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _batches(path: Path, names: Sequence[str], coded: Sequence[str]) -> Iterator[Any]:
    """Give some rows after the other, as Arrow's record batches; the columns `coded` as dictionaries, if text."""
    return (_csv_batches if path.suffix.lower() == ".csv" else _parquet_batches)(path, names, coded)


def _parquet_batches(path: Path, names: Sequence[str], coded: Sequence[str]) -> Iterator[Any]:
    try:
        nested = {field.name for field in pa_parquet.read_schema(path) if pa.types.is_nested(field.type)}
        with pa_parquet.ParquetFile(path, read_dictionary=[name for name in coded if name not in nested]) as file:
            for batch in file.iter_batches(ROWS, columns=list(names)):
                batch.validate(full=True)  # Arrow itself looks neither at a dictionary's indices nor at UTF-8
                yield batch
    except (pa.ArrowException, OSError, ValueError):
        raise CohortError(f"{path.name}: cannot be read as Parquet; export it again") from None


def _csv_batches(path: Path, names: Sequence[str], coded: Sequence[str]) -> Iterator[Any]:
    try:
        yield from _parse(path, names, coded)
        return
    except (pa.ArrowException, KeyError, OSError):
        ragged = _ragged_rows(path, names)
    if not ragged:
        raise CohortError(f"{path.name}: {_NO_CSV}")
    wanted = "expected one cell for each column, and quotes closed"
    raise CohortError(f"{path.name}: more or fewer cells than the header in {count_rows(ragged)}; {wanted}")


def _ragged_rows(path: Path, names: Sequence[str]) -> list[int]:
    """Find the rows with cells too many or too few."""
    ragged: list[int] = []

    def leave_out(row: Any) -> str:
        ragged.append(row.number - 1)  # the header is number 1
        return "skip"

    try:
        for _ in _parse(path, names, names, leave_out):
            pass
    except (pa.ArrowException, KeyError, OSError):
        return []
    return ragged


def _parse(path: Path, names: Sequence[str], coded: Sequence[str], leave_out: Any = None) -> Iterator[Any]:
    """Read blocks of a CSV.

    With a function for ragged rows, one thread reads: only then are rows numbered, and Arrow's threads, when they give
    the function back while Python ends, abort the process (seen in one run of twenty).
    """
    text = pa.string()
    types = {name: pa.dictionary(pa.int32(), text) if name in coded else text for name in names}
    with pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=leave_out is None, block_size=BLOCK),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out),
        convert_options=pa_csv.ConvertOptions(include_columns=list(names), column_types=types),
    ) as reader:
        yield from reader
