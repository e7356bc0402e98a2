"""Figures that say where they come from, so that a reader or a test can check each against the run's files.

Every figure on the page stands in an element with ``data-column``. The nearest attributes above it say the rest:
``data-file``; ``data-row``, which rows of it (``column=value`` joined by ``;``; ``column~word`` for a word among
several; ``column<number`` and ``column>number``;
``lines=first-last``, counted from 0 after the heading); ``data-of``, what was made of them (mean, sd over
seeds, sum, min, max, count, unique); ``data-places``, the decimals shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

DECIMALS = 3
_NONE = Markup("")
_NARROW = 5  # columns that fit on a telephone
_PLAIN = " '*:,.-+_<>()"


def where(**columns: object) -> str:
    """Name the rows in which these columns have these values."""
    return ";".join(f"{name}={quote(str(value), safe=_PLAIN)}" for name, value in columns.items())


def shown(value: float | None, places: int = DECIMALS) -> str:
    """Give a number as the page shows it; nothing for none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:,.{places}f}"
    return text if text.strip("-0.,") else text.removeprefix("-")  # no minus before nothing


def attributes(column: str = "", row: str = "", of: str = "", places: int = DECIMALS, file: str = "") -> Markup:
    """Give the attributes that say where a figure comes from, as far as they differ from those above it."""
    given = {"file": file, "row": row, "column": column, "of": of}
    given["places"] = "" if places == DECIMALS else str(places)
    return Markup("").join(Markup(' data-{}="{}"').format(name, value) for name, value in given.items() if value)


def titled(text: str, over: str) -> str:
    """Say of what stands under a heading that it is a mean over classes or labels, where it is."""
    return f"{text}, mean over {over}" if over else text


def figure(
    value: float | None, column: str, of: str = "", places: int = DECIMALS, row: str = "", file: str = ""
) -> Markup:
    """Give one figure with its trace; empty where there is none."""
    text = shown(value, places)
    return Markup("<span{}>{}</span>").format(attributes(column, row, of, places, file), text) if text else Markup("")


def interval(low: float | None, high: float | None, column: str, places: int = DECIMALS, of: str = "") -> Markup:
    """Give an interval of the columns ``column_low`` and ``column_high``."""
    if not shown(low) or not shown(high):
        return Markup("")
    ends = figure(low, f"{column}_low", of, places), figure(high, f"{column}_high", of, places)
    return Markup("{}\N{EN DASH}{}").format(*ends) if (low or 0) >= 0 else Markup("{} to {}").format(*ends)


@dataclass(frozen=True)
class Row:
    """One row of a table on the page.

    Attributes
    ----------
    cells : sequence of str
        Words are escaped; `Markup` is not.
    trace : Markup
        Attributes of the row, `attributes`.
    first : bool
        Whether a group of rows begins here.
    """

    cells: Sequence[str]
    trace: Markup = _NONE
    first: bool = False


@dataclass(frozen=True)
class Table:
    """A table on the page; the first `words` columns hold words, the others figures."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Row]
    words: int = 1

    @property
    def broad(self) -> bool:
        """Whether a telephone shows each row as a block, since its columns do not fit."""
        return len(self.headings) > _NARROW
