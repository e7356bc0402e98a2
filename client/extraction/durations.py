"""Lengths of time as a definition writes them: "24h" or "3d"."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,6})(h|d)")
_MICROSECONDS = {"h": 3_600_000_000, "d": 86_400_000_000}


def parse_duration(text: str) -> int:
    """Give a length of time in microseconds.

    Raises
    ------
    ValueError
        It is not a whole number of hours or days.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{text}" is not a length of time; expected whole hours or days, such as "24h" or "3d"')
    return int(found[1]) * _MICROSECONDS[found[2]]
