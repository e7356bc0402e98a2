"""Strategies against each other on the same patients, after correction for how many comparisons there are."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from common.strategies import LOCAL
from server.report.folder import records
from server.report.study.folder import COMPARISONS, StudyFolder, written
from server.report.study.tables import ends, origin, trace
from server.report.trace import Row, Table, figure, shown, where

LEVEL = 0.05
MOST = 600  # rows; of a study that has more, those against what needs no tuning are shown
PLAIN = (LOCAL, "direct")
_LEAST = 0.001  # a p below it is said to be below it


def wins(study: StudyFolder) -> list[Table]:
    """Count, for each pair of strategies, in how many cells one is better; a table for each preset."""
    tables = []
    for preset, rows in study.comparisons.groupby("preset", sort=False):
        names = list(dict.fromkeys([*rows["first"], *rows["second"]]))
        lines = [Row([name, *(_won(str(preset), rows, name, other) for other in names)]) for name in names]
        headings = ["better", *(f"than {name}" for name in names)]
        tables.append(Table(f"In how many comparisons the row is better, preset {preset}", headings, lines, 1))
    return tables


def differences(study: StudyFolder) -> list[Table]:
    """List differences, a table for each preset and embedding."""
    rows = shown_rows(study.comparisons)
    tables = []
    for (preset, embedding), part in rows.groupby(["preset", "embedding"], sort=False):
        lines, before = [], None
        for record in records(part):
            group = [record[name] for name in ("source", "target", "size")]
            cells = [
                figure(record["difference"], "difference"),
                ends(record),
                _p(record, "p"),
                _p(record, "p_adjusted"),
            ]
            words = [origin(record["source"]), record["target"], written(record["size"])]
            words += [record["first"], record["second"]]
            lines.append(Row([*words, *cells, _verdict(record)], trace(record, COMPARISONS), group != before))
            before = group
        headings = ["learnt at", "target", "size", "first", "second", "first less second", "95 % interval"]
        headings += ["p", "p, Holm", "so"]
        tables.append(Table(f"{embedding}, preset {preset}", headings, lines, 5))
    return tables


def shown_rows(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Give all comparisons, or where they are too many to read those against `PLAIN`."""
    if len(comparisons) <= MOST:
        return comparisons
    return comparisons[comparisons["first"].isin(PLAIN) | comparisons["second"].isin(PLAIN)]


def _won(preset: str, rows: pd.DataFrame, name: str, other: str) -> Markup:
    """Say in how many comparisons a strategy is better than another, of how many."""
    for first, second, sign in ((name, other, ">"), (other, name, "<")):
        pair = rows[(rows["first"] == first) & (rows["second"] == second)]
        if len(pair):
            better = pair["difference"] > 0 if sign == ">" else pair["difference"] < 0
            key = where(preset=preset, first=first, second=second)
            found = f"{key};difference{sign}0;p_adjusted<{LEVEL}"
            count = int((better & (pair["p_adjusted"] < LEVEL)).sum())
            won = figure(count, "difference", "count", 0, found, COMPARISONS)
            every = figure(len(pair), "difference", "count", 0, key, COMPARISONS)
            text = Markup("<strong>{}</strong> of {}") if count else Markup("{} of {}")
            return text.format(won, every)
    return Markup('<span class="none">\N{MIDDLE DOT}</span>')


def _p(record: dict[str, Any], column: str) -> Markup:
    """Give a p-value."""
    value = record[column]
    text = figure(value, column)
    if not text or value >= _LEAST:
        return text or Markup("\N{EN DASH}")
    return Markup('<span data-column="{}" data-shown="{}">&lt; {}</span>').format(column, shown(value), _LEAST)


def _verdict(record: dict[str, Any]) -> str:
    """Say which is better, where the correction leaves it."""
    if not record["p_adjusted"] < LEVEL:
        return "not told apart"
    return f"{record['first' if record['difference'] > 0 else 'second']} is better"
