"""Numbers from one UCUM unit (https://ucum.org) to another, by pint and ucumvert; each pair is worked out once.

A conversion is a factor and an offset, as between all units of one kind but logarithmic ones, which are refused.
Converted numbers are rounded to ten significant digits, so that 100.4 degrees Fahrenheit are 38 Celsius and not
a hair less: a grade's cut would tell them apart.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError

_DIGITS = 10
_ALIASES = {"degF": "[degF]", "°F": "[degF]", "degC": "Cel", "°C": "Cel"}  # no UCUM, and not to be misread


class Conversion(NamedTuple):
    """``number * factor + offset`` is the number in the other unit."""

    factor: float
    offset: float


@lru_cache(maxsize=4096)
def conversion(given: str, wanted: str) -> Conversion | None:
    """Give the way from one unit to another; None where there is none.

    Raises
    ------
    ConfigError
        The libraries for units are not installed.
    """
    given, wanted = _ALIASES.get(given, given), _ALIASES.get(wanted, wanted)
    if given == wanted:
        return Conversion(1.0, 0.0)
    registry = _registry()
    try:
        source, target = (registry.from_ucum(unit).units for unit in (given, wanted))
        zero, ten, twenty = (registry.Quantity(n, source).to(target).magnitude for n in (0.0, 10.0, 20.0))
    except Exception:  # lark's, pint's and ucumvert's own, of no common kind
        return None
    if not np.isclose(twenty - ten, ten - zero, rtol=1e-9, atol=0.0):
        return None
    return Conversion((ten - zero) / 10.0, _significant(np.array([zero]), at_least=1e-9)[0])


def convert(numbers: NDArray[np.float64], way: Conversion) -> NDArray[np.float64]:
    """Convert numbers, float64 (N,)."""
    if way == (1.0, 0.0):
        return numbers
    return _significant(numbers * way.factor + way.offset)


def unit_fault(unit: str) -> str | None:
    """Say what is wrong with a unit that a definition names, if anything is."""
    if unit in _ALIASES:
        return None
    try:
        _registry().from_ucum(unit)
    except ConfigError:  # the agent reads a definition, too, and converts nothing
        return None
    except Exception:
        return f'"{unit}" is not a UCUM unit; expected the like of "Cel", "[degF]", "mg/dL", "10*3/uL"'
    return None


def _significant(numbers: NDArray[np.float64], at_least: float = 0.0) -> NDArray[np.float64]:
    """Round to `_DIGITS` digits; below `at_least`, to zero. Powers of ten are whole, so that the result is exact."""
    sized = np.where((np.abs(numbers) > at_least) & np.isfinite(numbers), np.abs(numbers), 1.0)
    places = np.clip(_DIGITS - 1 - np.floor(np.log10(sized)), -22, 22)
    power = 10.0 ** np.abs(places)
    rounded = np.where(places >= 0, np.rint(numbers * power) / power, np.rint(numbers / power) * power)
    return np.where(np.isfinite(rounded), rounded, numbers)


@lru_cache(maxsize=1)
def _registry() -> Any:
    try:
        from ucumvert import PintUcumRegistry  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError("units need the extra: pip install 'sitebridge[records]'") from None
    return PintUcumRegistry()
