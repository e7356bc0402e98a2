"""Opens a CSV or Parquet file and gives its cells as text. Arrow's own messages quote rows: they are never passed on.

Every cell becomes text by one rule, so that a site file reads a table alike from CSV and from Parquet: a null and a NaN
are blank, booleans are true and false, whole numbers have no ".0", dates are ISO.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pa_parquet  # type: ignore[import-untyped]

from client.cohorts.cells import Column, Table, count_rows, spell
from common.errors import CohortError

KINDS = (".csv", ".parquet")
BLOCK = 8 << 20  # bytes read at a time: a row must fit into it

_TEXT = pa.dictionary(pa.int32(), pa.string())
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


def read_table(path: Path, names: Sequence[str]) -> Table:
    """Read the columns `names`, all of which the file has.

    Raises
    ------
    CohortError
        The file cannot be read, a row of a CSV has cells too many or too few, or a column of Parquet no plain values.
    """
    table = _read_csv(path, names) if path.suffix.lower() == ".csv" else _read_parquet(path, names)
    columns = {name: _column(path, name, table.column(name)) for name in names}
    return Table(path.name, columns, np.arange(1, table.num_rows + 1, dtype=np.int64))


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
    except pa.ArrowException:
        raise CohortError(f"{path.name}: cannot be read as Parquet; export it again") from None
    return [name for name in names if not _INDEX.fullmatch(name)]


def _read_csv(path: Path, names: Sequence[str]) -> Any:
    try:
        return _parse(path, names, None)
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
        _parse(path, names, leave_out)
    except (pa.ArrowException, KeyError, OSError):
        return []
    return ragged


def _parse(path: Path, names: Sequence[str], leave_out: Any) -> Any:
    """Read with a dictionary for each column: each different cell is kept, and spelled, once.

    With a function for ragged rows, one thread reads: only then are rows numbered, and Arrow's threads, when they give
    the function back while Python ends, abort the process (seen in one run of twenty).
    """
    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=leave_out is None, block_size=BLOCK),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out),
        convert_options=pa_csv.ConvertOptions(include_columns=list(names), column_types=dict.fromkeys(names, _TEXT)),
    )


def _read_parquet(path: Path, names: Sequence[str]) -> Any:
    try:
        return pa_parquet.read_table(path, columns=list(names), read_dictionary=list(names))
    except (pa.ArrowException, OSError):
        raise CohortError(f"{path.name}: cannot be read as Parquet; export it again") from None


def _column(path: Path, name: str, values: Any) -> Column:
    """Give the different cells of an Arrow column as text, and the position of each row's cell among them."""
    if len(values) == 0:
        return Column(np.empty(0, dtype=np.int32), ())
    try:
        encoded = _encode(values)
        cells = encoded.dictionary.cast(pa.string()).to_pylist()
    except pa.ArrowException:
        wanted = "expected text, numbers, booleans or dates"
        raise CohortError(f'{path.name}: column "{name}" holds {values.type}; {wanted}') from None
    if pa.types.is_floating(encoded.dictionary.type):
        cells = ["" if cell == "nan" else cell for cell in cells]
    codes = encoded.indices.fill_null(len(cells)).to_numpy(zero_copy_only=False)
    cells = [spell(cell or "") for cell in (*cells, "")]  # the last one stands for null
    first: dict[str, int] = {}
    merged = np.array([first.setdefault(cell, len(first)) for cell in cells], dtype=np.int32)  # "1" and "1.0" are one
    return Column(merged[codes], tuple(first))


def _encode(values: Any) -> Any:
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    return values.unify_dictionaries().combine_chunks()
