"""Draws figures of all models at one site beside each other, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from server.report.folder import RESULTS, records
from server.report.style import Style
from server.report.svg import Plot, Scale
from server.report.trace import attributes, shown, where

_WIDTH, _LEFT, _RIGHT = 350, 84, 340
_HEAD, _GAP, _ROW = 18, 6, 9  # a group's heading, around a row, one embedding in it
_REACH = 0.6  # how far beyond all values an axis goes for intervals, in widths of all values


@dataclass(frozen=True)
class Measure:
    """A figure to draw: its column, its name for people, and where the ideal is, if anywhere."""

    column: str
    name: str
    ideal: float | None = None


def axis(summary: pd.DataFrame, measure: Measure) -> Scale | None:
    """Give one scale for all sites; an interval that is far longer than most does not squeeze the rest."""
    values = summary[measure.column].dropna().tolist()
    if not values:
        return None
    low, high = min([*values, measure.ideal or values[0]]), max([*values, measure.ideal or values[0]])
    wide = (summary[f"{measure.column}_high"] - summary[f"{measure.column}_low"]).median()
    room = max(max(high - low, 0.02) * _REACH, 0.0 if math.isnan(wide) else float(wide))
    ends = [*summary[f"{measure.column}_low"].dropna(), *summary[f"{measure.column}_high"].dropna(), low, high]
    low, high = max(min(ends), low - room), min(max(ends), high + room)
    edge = (high - low or 1.0) * 0.02
    return Scale(low - edge, high + edge, _LEFT, _RIGHT)


def forest(
    site: str,
    rows: pd.DataFrame,
    measure: Measure,
    scale: Scale,
    looks: dict[str, Style],
    trace: Callable[[dict[str, Any]], Markup] | None = None,
) -> Markup:
    """Draw one site: a row for each strategy, under its sources; in it a mark for each embedding.

    Parameters
    ----------
    site : str
    rows : DataFrame
        The site's, of `server.summary.summarise`.
    measure : Measure
    scale : Scale
        Of `axis`.
    looks : dict of str to Style
        Of each embedding.
    trace : callable or None
        Says where a row's figure comes from; by default, from results.csv.
    """
    said = trace or (lambda row: attributes(measure.column, rows_of(row), "mean", file=RESULTS))
    height = _ROW * len(looks) + _GAP
    groups = list(rows.groupby("sources", sort=False))
    models = sum(group["strategy"].nunique() for _, group in groups)
    bottom = 8 + _HEAD * len(groups) + height * models
    plot = Plot(scale, Scale(0, 1, bottom, 4), _WIDTH, bottom + 36, f"{measure.name} at {site}")
    plot.frame(measure.name, "", grid_y=False)
    if measure.ideal is not None:
        plot.path([(scale(measure.ideal), bottom), (scale(measure.ideal), 4)], "ideal")
    y = 4.0
    for sources, group in groups:
        y += _HEAD
        plot.text(2, y - 4, headline(str(sources)), "group")
        for strategy, models_here in group.groupby("strategy", sort=False):
            plot.text(_LEFT - 6, y + height / 2 + 4, str(strategy), "name", "end")
            for row in records(models_here):
                at = y + _GAP / 2 + _ROW * (list(looks).index(row["embedding"]) + 0.5)
                plot.drawn.append(_mark(row, measure, scale, at, looks[row["embedding"]], said(row)))
            y += height
    return plot.svg()


def headline(sources: str) -> str:
    """Say in words where a model was learnt."""
    return f"from {sources.replace('+', ', ')}" if sources else "without transfer"


def _mark(row: dict[str, Any], measure: Measure, scale: Scale, y: float, style: Style, trace: Markup) -> Markup:
    """Draw one figure with its interval; an end beyond the axis is an arrow."""
    value, low, high = (float(row[f"{measure.column}{end}"]) for end in ("", "_low", "_high"))
    if math.isnan(value):
        return Markup("")
    text = shown(value)
    drawn = Markup("")
    if not math.isnan(low + high):
        text += f" ({shown(low)} to {shown(high)})"
        a, b = scale(max(low, scale.low)), scale(min(high, scale.high))
        drawn = Markup('<path class="whisker" d="M{:.1f},{:.1f}H{:.1f}" stroke="{}"/>').format(a, y, b, style.colour)
        arrows = [(a, 4)] * (low < scale.low) + [(b, -4)] * (high > scale.high)
        for place, way in arrows:
            path = f"M{place + way:.1f},{y - 3:.1f}L{place:.1f},{y:.1f}L{place + way:.1f},{y + 3:.1f}"
            drawn += Markup('<path class="whisker" d="{}" stroke="{}"/>').format(path, style.colour)
    title = Markup("<title>{}, {}: {}</title>").format(str(row["embedding"]), str(row["strategy"]), text)
    return Markup('<g{} data-shown="{}">{}{}{}</g>').format(
        trace, shown(value), title, drawn, style.mark_at(scale(value), y)
    )


def rows_of(row: dict[str, Any], split: str = "test") -> str:
    """Name the rows of results.csv, or of classes.csv, behind a row of the summary, one for each seed."""
    keys = [key for key in ("embedding", "strategy", "sources", "site", "class") if key in row]
    return where(**{key: row[key] for key in keys}, split=split)
