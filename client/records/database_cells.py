"""What drivers give for one column, as an Arrow array. A cell's content never reaches a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.contract import Account
from common.errors import CohortError

NOT_FINITE = "numbers that are not finite: taken as none"
_EXACT = 2**53  # float64 has every whole number up to it
_NUMBERS = frozenset({int, float, Decimal})
_MIXED = frozenset({str, int, float, Decimal})


def as_array(cells: Sequence[Any], where: str) -> Any:
    """Give cells as int64, float64, bool, text, date or timestamp; of nothing but nulls, of the type null.

    Columns of SQLite may hold numbers beside text: all become text.

    Raises
    ------
    CohortError
        They are of other types; `where` names the column.
    """
    kinds = {type(cell) for cell in cells} - {type(None)}
    if not kinds:
        return pa.nulls(len(cells))
    if kinds <= _NUMBERS:
        return _numbers(cells)
    if kinds <= {str} or kinds == {bool} or kinds == {datetime} or kinds == {date}:
        return _made(lambda: pa.array(cells), where)
    if kinds <= _MIXED:
        return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())
    if kinds == {UUID}:
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    raise CohortError(f"{where}: holds {_named(kinds)}; expected text, numbers or times: cast it in a view or query")


def whole(values: Any, where: str) -> Any:
    """Give concept ids, int64 (N,); 0 where null.

    Raises
    ------
    CohortError
        They are no whole numbers.
    """
    if pa.types.is_null(values.type):
        return np.zeros(len(values), dtype=np.int64)
    if pa.types.is_floating(values.type):
        values = _made(lambda: values.cast(pa.int64()), where)
    if not pa.types.is_integer(values.type):
        raise CohortError(f"{where}: holds {values.type}; expected whole numbers, as the CDM's own tables have them")
    return values.fill_null(0).to_numpy()


def finite(numbers: Any, account: Account) -> Any:
    """Give numbers, float64 (N,), null where they are not finite; these are counted."""
    right = pc.fill_null(pc.is_finite(numbers), True)
    account.add(NOT_FINITE, len(numbers) - (pc.sum(right).as_py() or 0))
    return pc.if_else(right, numbers, pa.scalar(None, pa.float64()))


def _numbers(cells: Sequence[Any]) -> Any:
    """Give int64 where all are whole and fit, else float64; whole numbers that fit neither as text."""
    if all(cell is None or type(cell) is int or (type(cell) is Decimal and _whole(cell)) for cell in cells):
        exact = [None if cell is None else int(cell) for cell in cells]
        try:
            return pa.array(exact, pa.int64())
        except (OverflowError, pa.ArrowInvalid):
            return pa.array([None if cell is None else str(cell) for cell in exact], pa.string())
    if any(type(cell) is int and abs(cell) > _EXACT for cell in cells):
        return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())
    return _undone(pa.array([None if cell is None else float(cell) for cell in cells], pa.float64()))


def _undone(numbers: Any) -> Any:
    """Give the shortest decimals of numbers that all come from float32: 38.9 as measured, not 38.900001525878906."""
    with np.errstate(over="ignore"):
        short = pc.fill_null(numbers, 0.0).to_numpy().astype(np.float32)
    if not np.array_equal(short.astype(np.float64), pc.fill_null(numbers, 0.0).to_numpy(), equal_nan=True):
        return numbers
    return pa.array(short, mask=numbers.is_null().to_numpy(zero_copy_only=False)).cast(pa.string()).cast(pa.float64())


def _whole(number: Decimal) -> bool:
    return number.is_finite() and number == number.to_integral_value()


def _text(cell: str | int | float | Decimal) -> str:
    is_whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT
    return str(int(cell)) if is_whole else str(cell)


def _made(make: Callable[[], Any], where: str) -> Any:
    try:
        return make()
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        raise CohortError(f"{where}: holds what cannot be read; cast it to text, numbers or times in a view") from None


def _named(kinds: set[type]) -> str:
    return " and ".join(sorted(kind.__name__ for kind in kinds))
