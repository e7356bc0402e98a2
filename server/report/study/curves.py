"""Learning over target size by strategy; or, where a study has one size, all strategies at each target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from server.report.folder import records
from server.report.forest import Measure, axis, forest
from server.report.study.folder import ALL, SUMMARY, StudyFolder, behind, in_order, written
from server.report.style import Style, legend, styles
from server.report.svg import Plot, Scale, spanning
from server.report.trace import attributes, shown, titled
from server.summary import ORDER

_LEFT, _RIGHT, _BOTTOM, _TOP = 50.0, 352.0, 214.0, 10.0
_BESIDE = 2.6  # between the marks of two strategies at one size
_BEYOND = 0.45  # how far after the largest size, in powers of ten, "all" stands


@dataclass(frozen=True)
class Drawn:
    """The pictures of one preset."""

    preset: str
    legend: Markup
    panels: list[tuple[str, Markup]]


def learning(study: StudyFolder) -> list[Drawn]:
    """Draw AUROC by size, a panel for each embedding and direction, a line for each strategy; none of one size."""
    looks = styles(_strategies(study.summary))
    drawn = []
    for preset, rows in study.summary.groupby("preset", sort=False):
        sizes = in_order(rows["size"])
        if len(sizes) < 2:
            continue
        y = spanning([*rows["auroc"], *rows["low"], *rows["high"]], _BOTTOM, _TOP)
        panels = []
        for (embedding, target), part in rows.groupby(["embedding", "target"], sort=False):
            for source in [name for name in dict.fromkeys(part["source"]) if name] or [""]:
                chosen = part[part["source"].isin(["", source])]
                title = f"{embedding}, {source} to {target}" if source else f"{embedding}, {target} alone"
                panels.append((title, _panel(title, chosen, sizes, y, looks, titled("AUROC", study.over))))
        drawn.append(Drawn(str(preset), legend(looks), panels))
    return drawn


def targets(study: StudyFolder) -> list[Drawn]:
    """Draw every strategy at each target, of presets that have one size alone."""
    drawn = []
    for preset, rows in study.summary.groupby("preset", sort=False):
        if rows["size"].nunique() > 1:
            continue
        looks = styles(list(dict.fromkeys(rows["embedding"])))
        named = rows.rename(columns={"source": "sources", "low": "auroc_low", "high": "auroc_high"})
        measure = Measure("auroc", titled("AUROC", study.over))
        scale = axis(named, measure)
        if scale is not None:
            sites = named.groupby("target", sort=False)
            panels = [(str(site), forest(str(site), part, measure, scale, looks, _trace)) for site, part in sites]
            drawn.append(Drawn(str(preset), legend(looks, line=False), panels))
    return drawn


def _panel(title: str, rows: pd.DataFrame, sizes: list[str], y: Scale, looks: dict[str, Style], measure: str) -> Markup:
    """Draw one embedding and direction."""
    places = _places(sizes)
    x = spanning(places.values(), _LEFT, _RIGHT, 0.09)
    plot = Plot(x, y, 366, 250, f"AUROC by encounters of the target: {title}")
    plot.frame("encounters of the target", measure, x_ticks={places[size]: written(size) for size in sizes})
    names = [name for name in looks if name in set(rows["strategy"])]
    for number, name in enumerate(names):
        beside = (number - (len(names) - 1) / 2) * _BESIDE
        _line(plot, records(rows[rows["strategy"] == name]), places, beside, looks[name])
    return plot.svg()


def _line(plot: Plot, rows: list[dict[str, Any]], places: dict[str, float], beside: float, style: Style) -> None:
    """Draw one strategy: a mark with its interval at each size, a little aside so that none hides another."""
    rows = sorted((row for row in rows if not math.isnan(row["auroc"])), key=lambda row: places[row["size"]])
    at = [(plot.x(places[row["size"]]) + beside, plot.y(row["auroc"])) for row in rows]
    if at:
        plot.path(at, "line", style)
    for (x, y), row in zip(at, rows, strict=True):
        said = f"{row['strategy']}, {written(row['size'])} encounters: {shown(row['auroc'])}"
        said += f" ({shown(row['low'])} to {shown(row['high'])})"
        whisker = Markup('<path class="whisker thin" d="M{:.1f},{:.1f}V{:.1f}" stroke="{}"/>')
        drawn = whisker.format(x, plot.y(row["low"]), plot.y(row["high"]), style.colour)
        whole = Markup('<g{} data-shown="{}"><title>{}</title>{}{}</g>')
        plot.drawn.append(whole.format(_trace(row), shown(row["auroc"]), said, drawn, style.mark_at(x, y)))


def _trace(row: dict[str, Any]) -> Markup:
    return attributes("auroc", behind(row), "mean", file=SUMMARY)


def _places(sizes: list[str]) -> dict[str, float]:
    """Give each size's place on the axis, in powers of ten; `ALL` has no number and stands at the end."""
    places = {size: math.log10(int(size)) for size in sizes if size != ALL}
    return places | ({ALL: max(places.values(), default=0.0) + _BEYOND} if ALL in sizes else {})


def _strategies(summary: pd.DataFrame) -> list[str]:
    there = list(dict.fromkeys(summary["strategy"]))
    return [name for name in dict.fromkeys([*ORDER, *there]) if name in there]
