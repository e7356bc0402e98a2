"""The cells of records in tables: as text, numbers and yes or no. A cell's content never reaches a message."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from common.errors import CohortError, Problems

_YES, _NO = ("true", "1", "yes", "t", "y"), ("false", "0", "no", "f", "n")


def find(
    names: Sequence[str], needed: Mapping[str, bool], renamed: Mapping[str, str], problems: Problems, file: str
) -> dict[str, str]:
    """Give the file's name of each column that it has, and report those that it needs and lacks."""
    found = {}
    for name, must in needed.items():
        own = renamed.get(name, name)
        if names.count(own) == 1:
            found[name] = own
        elif own in names:
            problems.add(f'{file}: the column "{own}" is {names.count(own)} times in the header; rename all but one')
        elif must or (name in renamed and name not in ("patient", "encounter")):
            near = difflib.get_close_matches(own, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f'; name it by records.columns: {name} = "..."'
            problems.add(f'{file}: no column "{own}"{hint}')
    return found


def texts(values: Any, rows: int) -> pa.Array:
    """Give cells as text without spaces around it; null where blank. Whole numbers have no ".0".

    Raises
    ------
    CohortError
        They are lists, or of another type that is no text.
    """
    if values is None:
        return pa.nulls(rows, pa.string())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type) and _whole(values):
        values = values.cast(pa.int64())
    try:
        trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
    except pa.ArrowException:  # whose words may quote a cell
        raise CohortError(f"records: a column holds {values.type}; expected text, numbers or times") from None
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def numbers(values: Any, rows: int, file: str) -> pa.Array:
    """Give cells as float64; null where blank.

    Raises
    ------
    CohortError
        Some are no numbers.
    """
    if values is None:
        return pa.nulls(rows, pa.float64())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return values.cast(pa.float64())
    read = texts(values, rows)
    encoded = read.dictionary_encode()
    parsed = [_number(text) for text in encoded.dictionary.to_pylist()]
    wrong = np.array([number is None for number in parsed] + [False])[_places(encoded)]
    if wrong.any():
        remedy = "expected digits with a point for the decimals, or a blank"
        raise CohortError(f"{file}: {int(wrong.sum())} cells of the column for `number` are no numbers; {remedy}")
    return pa.array([*parsed, None], pa.float64()).take(pa.array(_places(encoded)))


def booleans(values: Any, rows: int, file: str) -> NDArray[np.bool_]:
    """Give cells that say yes or no, bool (N,); a blank says no.

    Raises
    ------
    CohortError
        Some say neither.
    """
    if values is None:
        return np.zeros(rows, dtype=np.bool_)
    if pa.types.is_boolean(values.type):
        said: NDArray[np.bool_] = values.fill_null(False).to_numpy(zero_copy_only=False)
        return said
    encoded = texts(values, rows).dictionary_encode()
    words = [text.casefold() for text in encoded.dictionary.to_pylist()]
    wrong = np.array([word not in (*_YES, *_NO) for word in words] + [False])[_places(encoded)]
    if wrong.any():
        remedy = "expected true, false or a blank"
        raise CohortError(f"{file}: {int(wrong.sum())} cells of the column for `absent` say neither; {remedy}")
    return np.array([word in _YES for word in words] + [False], dtype=np.bool_)[_places(encoded)]


def _places(encoded: Any) -> NDArray[np.int64]:
    """Give the place of each cell in the dictionary, int64 (N,); one past its end for null."""
    places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    whole: NDArray[np.int64] = places.astype(np.int64)
    return whole


def _whole(values: Any) -> bool:
    known = values.drop_null().to_numpy()
    return bool((np.isfinite(known) & (known == np.floor(known)) & (np.abs(known) < 2.0**53)).all())


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
