"""The numbers of events in the unit of a definition, and an account of those that cannot be taken.

Letters: P numbers.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from client.extraction.measures import Measure
from client.extraction.units import conversion, convert, unit_fault
from client.records.contract import Account
from common.errors import Problems

_LISTED = 10
_OFTEN = 11  # numbers
_LIKE_A_UNIT = re.compile(r"[^\s,;]{1,20}")
_MANY_DIGITS = re.compile(r"[0-9]{4}")


class Quantity:
    """Reads one measure of a definition.

    Parameters
    ----------
    key : str
        The definition's key, for messages, such as ``grades.C0424781``.
    """

    def __init__(self, measure: Measure, key: str) -> None:
        self._measure, self._key = measure, key
        self._unreadable: Counter[str] = Counter()
        self._outside = self._without = self._infinite = 0

    def read(
        self, numbers: NDArray[np.float64], unit: NDArray[np.int64], units: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Give the numbers in the measure's unit, float64 (P,); NaN where there is none that can be taken.

        Parameters
        ----------
        numbers : float64 array (P,)
            NaN where the event has none.
        unit : int64 array (P,)
            Position in `units`.
        units : tuple of str
            As the records write them; "" for none stated.
        """
        read = np.full(len(numbers), np.nan)
        for place in np.unique(unit):
            among = unit == place
            given = units[place]
            way = conversion(self._measure.units.get(given, given), self._measure.unit)
            if way is None:
                self._unreadable[given] += int((among & ~np.isnan(numbers)).sum())
            else:
                read[among] = convert(numbers[among], way)
        low, high = self._measure.plausible
        self._without += int(np.isnan(numbers).sum())
        self._infinite += int(np.isinf(numbers).sum())
        outside = np.isfinite(read) & ((read < low) | (read > high))
        self._outside += int(outside.sum())
        return np.where(outside | np.isinf(read), np.nan, read)

    def report(self, account: Account, problems: Problems) -> None:
        """Count what was left out, and name the units that cannot be converted."""
        low, high = self._measure.plausible
        unit = self._measure.unit
        account.add(f"{self._key}: events without a number: left out", self._without)
        account.add(f"{self._key}: numbers outside {low:g} to {high:g} {unit}: taken as unknown", self._outside)
        account.add("numbers that are not finite: taken as none", self._infinite)
        named: Counter[str] = Counter()
        for given, number in self._unreadable.items():
            named[_named(given, number)] += number
        ordered = sorted(named.items(), key=lambda item: (-item[1], item[0]))
        listed = [f"{number} {words}" for words, number in ordered if number]
        if listed:
            more = f" and {len(listed) - _LISTED} other units" if len(listed) > _LISTED else ""
            problems.add(
                f"{self._key}: numbers that cannot be converted to {unit}: {', '.join(listed[:_LISTED])}{more}; say "
                f'what the unit means by units = {{ "..." = "a UCUM unit" }}, or take other codes into the set'
            )


def _named(unit: str, number: int) -> str:
    """Say which unit numbers have, in its own words if it is one or frequent: it may be a cell of another column."""
    if not unit:
        return "without a unit"
    known = unit_fault(unit) is None or number >= _OFTEN
    if known and _LIKE_A_UNIT.fullmatch(unit) and not _MANY_DIGITS.search(unit):
        return f'in "{unit}"'
    return "in what may be no unit, and so is not repeated here"
