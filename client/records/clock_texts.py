"""Times written as ISO 8601, N at once: the span that each leaves open, and the offset from UTC that it states."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.datetime64]
Mask: TypeAlias = NDArray[np.bool_]

PATTERN = (  # ISO 8601, cut off after the year, the month or the day
    r"^(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?$"
)
_DAY = np.timedelta64(1, "D")
_TICK = np.timedelta64(1, "us")


def first_and_last(parts: Any) -> tuple[Times, Times, Mask]:
    """Give the first and the last moment of the span that each text names, and where it names one.

    Parameters
    ----------
    parts : Arrow struct array (N,)
        What `PATTERN` extracts of texts.
    """
    year, month, day = (_whole(parts, name) for name in ("year", "month", "day"))
    hour, minute, second = (_whole(parts, name) for name in ("hour", "minute", "second"))
    fraction = pc.utf8_slice_codeunits(pc.binary_join_element_wise(_text(parts, "fraction"), "000000", ""), 0, 6)
    right = (year >= 1) & (month <= 12) & (month != 0) & (day != 0) & (hour < 24) & (minute < 60) & (second <= 60)
    months = np.where(right, (year - 1970) * 12 + np.maximum(month, 1) - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + (np.maximum(day, 1) - 1).astype("m8[D]")
    right &= days.astype("M8[M]") == months  # not 30 February
    clock = np.maximum(hour, 0) * 3600 + np.maximum(minute, 0) * 60 + np.clip(second, 0, 59)  # a leap second is :59
    first = days.astype("M8[us]") + clock.astype("m8[s]") + fraction.cast(pa.int64()).to_numpy().astype("m8[us]")
    next_month, next_year = (months + 1).astype("M8[D]"), (months.astype("M8[Y]") + 1).astype("M8[D]")
    after = np.where(day > 0, days + _DAY, np.where(month > 0, next_month, next_year))
    last = np.where(hour >= 0, first, after.astype("M8[us]") - _TICK)
    return first, last, right


def offsets(parts: Any) -> tuple[NDArray[np.int64], Mask]:
    """Give the offset from UTC that each text states, in seconds, 0 where none, and where one is stated.

    Parameters
    ----------
    parts : Arrow struct array (N,)
        See `first_and_last`.
    """
    text = _text(parts, "offset")
    sign = np.where(np.asarray(pc.starts_with(text, "-")), -1, 1)
    digits = pc.replace_substring_regex(text, r"[^0-9]", "")
    padded = pc.utf8_slice_codeunits(pc.binary_join_element_wise(digits, "0000", ""), 0, 4)
    number = padded.cast(pa.int64()).to_numpy()
    return sign * (number // 100 * 3600 + number % 100 * 60), np.asarray(pc.not_equal(text, ""))


def _text(parts: Any, name: str) -> Any:
    return pc.struct_field(parts, name).fill_null("")


def _whole(parts: Any, name: str) -> NDArray[np.int64]:
    """Give a part as a number; -1 where the text does not have it."""
    text = _text(parts, name)
    return pc.if_else(pc.equal(text, ""), "-1", text).cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]
