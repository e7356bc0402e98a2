"""CSV and Parquet files of records, read batch by batch. Arrow's own messages quote rows: they are never passed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pa_parquet  # type: ignore[import-untyped]

from client.cohorts.reader import BLOCK, read_header
from common.errors import CohortError

BATCH = 50_000  # rows of Parquet
_CUT = "if it was cut short, copy or write it again"
_NO_CSV = f"cannot be read as CSV to its end; expected cells separated by commas, quotes closed, in UTF-8; {_CUT}"
_NO_PARQUET = f"cannot be read as Parquet to its end; {_CUT}"


def header(path: Path) -> list[str]:
    """Give the names of a file's columns.

    Raises
    ------
    CohortError
        The file is missing, is neither CSV nor Parquet, has no header, or does not end as a whole file does.
    """
    names = read_header(path)
    if path.suffix.lower() == ".csv":
        with path.open("rb") as file:
            file.seek(-1, 2)
            if file.read(1) not in b"\r\n":
                raise CohortError(f"{path.name}: does not end with a line break; {_CUT}, else add one")
    return names


def batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give a file's rows, some columns of them; of CSV as text, null where blank.

    Raises
    ------
    CohortError
        The file cannot be read to its end.
    """
    yield from _csv(path, names) if path.suffix.lower() == ".csv" else _parquet(path, names)


def _csv(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    read = pa_csv.ReadOptions(use_threads=False, block_size=BLOCK)
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    as_text = pa_csv.ConvertOptions(
        include_columns=list(names),
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    try:
        with pa_csv.open_csv(path, read, parse, as_text) as reader:
            yield from reader
    except (pa.ArrowException, KeyError, OSError):
        raise CohortError(f"{path.name}: {_NO_CSV}") from None


def _parquet(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pa_parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=list(names)):
                batch.validate(full=True)  # Arrow itself looks neither at a dictionary's indices nor at UTF-8
                yield batch
    except (pa.ArrowException, OSError, ValueError):
        raise CohortError(f"{path.name}: {_NO_PARQUET}") from None
