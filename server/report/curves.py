"""ROC, precision-recall, decision and calibration curves, drawn from counts that sites sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from markupsafe import Markup

from common.statistics.intervals import wilson
from server.report.counts import Counts, Floats, counts_of, net_benefit, over_seeds, precision, roc
from server.report.folder import CLASS_CURVES, CURVES
from server.report.style import Style, legend, styles
from server.report.svg import Plot, Scale, spanning
from server.report.trace import attributes, figure, where
from server.summary import ORDER

_SHARE = np.linspace(0, 1, 51)
_WHOLE = (44.0, 250.0, 200.0, 10.0)  # left, right, bottom, top of a plot's inside
_SMALL = (40.0, 210.0, 204.0, 34.0)  # a square
_STRIP = 26.0  # where the strip of counts stands, above the square

Models = dict[str, list[Counts]]  # for each strategy, its seeds


@dataclass(frozen=True)
class Block:
    """The curves of the models that go from some sources to one site, and of those without transfer beside them.

    `of` is the class or label that they are of, against the rest; empty where there are two classes.
    """

    embedding: str
    site: str
    sources: str
    of: str
    legend: Markup
    panels: list[tuple[str, Markup]]
    calibration: list[tuple[str, Markup, Markup]]  # strategy, plot, counts in words


def blocks(curves: pd.DataFrame, classes: Sequence[str] = ()) -> list[Block]:
    """Draw all curves of a run; counts of test encounters alone.

    Parameters
    ----------
    curves : DataFrame
        curves.csv; or class-curves.csv, of these `classes` in order.
    """
    test = curves[curves["split"] == "test"]
    names = [name for name in dict.fromkeys([*ORDER, *test["strategy"]]) if name in set(test["strategy"])]
    looks = styles(names)
    drawn = []
    keys = ["embedding", "site", *(["class"] if classes else [])]
    for values, rows in test.groupby(keys):
        about = dict(zip(keys, map(str, values), strict=True))
        apart = [sources for sources in dict.fromkeys(rows["sources"]) if sources] or [""]
        for sources in apart:
            chosen = rows[rows["sources"].isin(["", sources])]
            models = {name: found for name in names if (found := _seeds(chosen[chosen["strategy"] == name]))}
            if models:
                drawn.append(_block(about | {"sources": sources}, models, chosen, looks))
    if classes:
        place = {name: number for number, name in enumerate(classes)}
        drawn.sort(key=lambda block: (block.site, block.sources, place.get(block.of, len(place))))
    return sorted(drawn, key=lambda block: (block.embedding, block.site in block.sources.split("+")))


def _seeds(rows: pd.DataFrame) -> list[Counts]:
    """Give a model's counts, seed by seed; none where a seed has no positive or no negative."""
    found = [counts_of(part) for _, part in rows.groupby("seed", sort=False)]
    return found if all(counts.both for counts in found) else []


def _block(about: Mapping[str, str], models: Models, rows: pd.DataFrame, looks: dict[str, Style]) -> Block:
    """Draw the curves of some embedding, site and sources, and of a class where there are several."""
    of, file = about.get("class", ""), CLASS_CURVES if "class" in about else CURVES
    last = {"site": about["site"], "split": "test"} | ({"class": of} if of else {})
    chosen = {name: looks[name] for name in models}
    panels = [
        ("ROC", _rates(models, chosen, roc, "false positive rate", "true positive rate", diagonal=True)),
        ("Precision and recall", _rates(models, chosen, precision, "recall", "precision", diagonal=False)),
        ("Decision", _decision(models, chosen)),
    ]
    calibration = []
    for name, several in models.items():
        of_it = rows[rows["strategy"] == name]
        key = where(embedding=about["embedding"], strategy=name, sources=of_it["sources"].iloc[0], **last)
        calibration.append((name, _calibration(name, several, chosen[name]), _counted(several, key, file)))
    return Block(about["embedding"], about["site"], about["sources"], of, legend(chosen), panels, calibration)


def _plot(inside: tuple[float, float, float, float], x: Scale, y: Scale, title: str) -> Plot:
    return Plot(x, y, round(inside[1]) + 10, round(inside[2]) + 36, title)


def _rates(
    models: Models,
    looks: dict[str, Style],
    curve: Callable[[Counts, Floats], Floats],
    x_label: str,
    y_label: str,
    diagonal: bool,
) -> Markup:
    """Draw curves that lie in the unit square."""
    left, right, bottom, top = _WHOLE
    plot = _plot(_WHOLE, Scale(0, 1, left, right), Scale(0, 1, bottom, top), f"{y_label} by {x_label}")
    plot.frame(x_label, y_label)
    if diagonal:
        plot.path([(left, bottom), (right, top)], "ideal")
    _lines(plot, models, looks, curve, _SHARE)
    return plot.svg()


def _lines(
    plot: Plot, models: Models, looks: dict[str, Style], curve: Callable[[Counts, Floats], Floats], grid: Floats
) -> None:
    """Draw bands first, so that no line lies under one."""
    found = {name: over_seeds(curve, several, grid) for name, several in models.items()}
    for name, (_, low, high) in found.items():
        if len(models[name]) > 1:
            plot.band(grid.tolist(), low.tolist(), high.tolist(), looks[name])
    for place, (name, (mean, _, _)) in enumerate(found.items()):
        plot.line(list(zip(grid.tolist(), mean.tolist(), strict=True)), looks[name], place)


def _decision(models: Models, looks: dict[str, Style]) -> Markup:
    """Draw net benefit over thresholds, as far as ranges tell it, beside treating all and treating nobody."""
    left, right, bottom, top = _WHOLE
    last = max(float(counts.edges[-2]) for several in models.values() for counts in several)
    grid = np.linspace(0, max(last, 0.01), 61)
    first = next(iter(models.values()))[0]
    share = float(first.positive.sum() / first.n.sum())
    treat_all = share - (1 - share) * grid / (1 - grid)
    highest = max(float(np.nanmax(over_seeds(net_benefit, several, grid)[2])) for several in models.values())
    y = Scale(-0.25 * highest, 1.05 * highest, bottom, top)
    plot = _plot(_WHOLE, spanning(grid.tolist(), left, right, 0.0), y, "net benefit by threshold")
    plot.frame("threshold", "net benefit")
    plot.path([(left, plot.y(0)), (right, plot.y(0))], "ideal")
    kept = [(plot.x(a), plot.y(b)) for a, b in zip(grid.tolist(), treat_all.tolist(), strict=True) if b >= y.low]
    plot.path(kept, "ideal")
    plot.text(*_beside(kept), "all", "tick")
    plot.text(right, plot.y(0) + 12, "nobody", "tick", "end")
    _lines(plot, models, looks, _floored(y.low), grid)
    return plot.svg()


def _floored(low: float) -> Callable[[Counts, Floats], Floats]:
    """Give net benefit without what lies below the drawing."""

    def curve(counts: Counts, grid: Floats) -> Floats:
        value = net_benefit(counts, grid)
        return np.where(value >= low, value, np.nan)

    return curve


def _beside(places: list[tuple[float, float]]) -> tuple[float, float]:
    x, y = places[-1]
    return x + 4, y - 2


def _calibration(name: str, several: list[Counts], style: Style) -> Markup:
    """Draw the share of positives in each range, for each seed with Wilson's interval; above, how many there are."""
    left, right, bottom, top = _SMALL
    bands = [wilson(counts.positive, counts.n) for counts in several]
    most = max(
        max(float(counts.edges[-2]), float(band.high.max())) for counts, band in zip(several, bands, strict=True)
    )
    square = min(1.0, 1.05 * most)
    plot = _plot(_SMALL, Scale(0, square, left, right), Scale(0, square, bottom, top), f"calibration of {name}")
    plot.frame("predicted", "observed")
    plot.path([(left, bottom), (right, top)], "ideal")
    highest = max(float(counts.n.max()) for counts in several)
    for counts, band in zip(several, bands, strict=True):
        for r, (low, high) in enumerate(pairwise(counts.edges.tolist())):
            a, b, y = plot.x(low), plot.x(min(high, square)), plot.y(band.value[r])
            tall = counts.n[r] / highest * _STRIP
            said = f"{low:.3f} to {high:.3f}: {counts.positive[r]:.0f} of {counts.n[r]:.0f} positive"
            drawn = Markup('<path class="counts" d="M{:.1f},{:.1f}V{:.1f}H{:.1f}V{:.1f}z"/>').format(
                a, _STRIP, _STRIP - tall, b, _STRIP
            )
            drawn += Markup('<path class="range" d="M{:.1f},{:.1f}H{:.1f}" stroke="{}"/>').format(a, y, b, style.colour)
            line = Markup('<path class="whisker thin" d="M{:.1f},{:.1f}V{:.1f}" stroke="{}"/>')
            drawn += line.format((a + b) / 2, plot.y(band.low[r]), plot.y(band.high[r]), style.colour)
            plot.drawn.append(Markup("<g><title>{}</title>{}</g>").format(said, drawn))
    return plot.svg()


def _counted(several: list[Counts], key: str, file: str) -> Markup:
    """Say how many encounters are behind a curve's ranges."""
    n = [count for counts in several for count in counts.n.tolist()]
    positive = [count for counts in several for count in counts.positive.tolist()]
    ends = [("n", "min", min(n)), ("n", "max", max(n)), ("positive", "min", min(positive))]
    ends.append(("positive", "max", max(positive)))
    parts = [figure(value, column, of, 0) for column, of, value in ends]
    text = Markup("<span{}>ranges of {} to {} encounters, {} to {} of them positive</span>")
    return text.format(attributes(row=key, file=file), *parts)
