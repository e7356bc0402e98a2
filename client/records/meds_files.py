"""The Parquet files of a MEDS data set: found, checked and read batch by batch. Arrow's own messages quote rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from common.errors import CohortError, Problems

BATCH = 50_000  # rows
Kind = tuple[str, Callable[[Any], bool]]  # what a column should hold, in words, and whether it does
_BROKEN = "cannot be read as Parquet to its end; if it was cut short, copy or write it again"


def shards(folder: Path) -> list[Path]:
    """Give the files with events, in the order of their names.

    Raises
    ------
    CohortError
        There is none.
    """
    found = sorted((folder / "data").rglob("*.parquet"))
    if not found:
        raise CohortError(f"{folder}: no Parquet file under data/; name the folder of a MEDS data set")
    return found


def columns_of(path: Path, extra: Sequence[str]) -> frozenset[str]:
    """Check a file's columns against MEDS, and give their names.

    Parameters
    ----------
    extra : sequence of str
        Columns that the site file names, each needed.

    Raises
    ------
    CohortError
        Columns are missing or of another type; says all of them. Or the file cannot be read.
    """
    schema = _opened(path).schema_arrow
    problems = Problems(path.name)
    for name in [name for name in ("subject_id", "time", "code", *extra) if name not in schema.names]:
        what = "as MEDS wants it" if name not in extra else "which the site file names"
        problems.add(f'no column "{name}", {what}')
    problems.lines += _misfits(schema, dict.fromkeys(extra, _NAME) | _TYPES)
    problems.raise_if_any(CohortError)
    return frozenset(schema.names)


def check_types(schema: Any, types: Mapping[str, Kind], file: str) -> None:
    """Check the types of those columns that there are.

    Raises
    ------
    CohortError
        Names every column that holds something else.
    """
    problems = Problems(file)
    problems.lines += _misfits(schema, types)
    problems.raise_if_any(CohortError)


def batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give a file's rows, some columns of them.

    Raises
    ------
    CohortError
        The file cannot be read to its end.
    """
    file = _opened(path)
    try:
        for batch in file.iter_batches(batch_size=BATCH, columns=list(columns)):
            batch.validate(full=True)  # Arrow itself looks neither at a dictionary's indices nor at UTF-8
            yield batch
    except (pa.ArrowException, OSError, ValueError):
        raise CohortError(f"{path.name}: {_BROKEN}") from None
    finally:
        file.close()


def with_dictionary(texts: Any) -> Any:
    """Give texts as text with a dictionary that has no null."""
    if pa.types.is_dictionary(texts.type) and not texts.dictionary.null_count:
        return texts
    return texts.cast(pa.string()).dictionary_encode()


def read_small(path: Path) -> pa.Table:
    """Read a whole file, such as that of the codes."""
    try:
        table = pq.read_table(path)
        _ = table.column_names
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError):
        raise CohortError(f"{path.name}: {_BROKEN}") from None


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
        _ = file.schema_arrow.names  # one that is not UTF-8 shows only when it is read
        return file
    except (pa.ArrowException, OSError, ValueError):
        raise CohortError(f"{path.name}: {_BROKEN}") from None


def _misfits(schema: Any, types: Mapping[str, Kind]) -> Iterator[str]:
    for name, (expected, fits) in types.items():
        if (count := schema.names.count(name)) > 1:
            yield f'{count} columns are called "{name}"; expected one'
        elif count and not (fits(schema.field(name).type) or pa.types.is_null(schema.field(name).type)):
            yield f'the column "{name}" holds {schema.field(name).type}; expected {expected}'


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


TEXT: Kind = ("text", _is_text)
TEXTS: Kind = ("lists of text", lambda kind: _is_list(kind) and _is_text(kind.value_type))
_NAME: Kind = ("text or whole numbers", lambda kind: _is_text(kind) or _is_number(kind))
_TYPES = {
    "subject_id": ("whole numbers", pa.types.is_signed_integer),
    "time": ("timestamps", pa.types.is_timestamp),
    "code": TEXT,
    "numeric_value": ("numbers", _is_number),
    "text_value": TEXT,
    "unit": _NAME,
}
