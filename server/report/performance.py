"""How the models do: the table, the matrix of sources and targets, and calibration with thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from common.strategies import LOCAL, POOLED, SOURCE
from server.report.folder import RESULTS, records
from server.report.forest import Measure, axis, forest, rows_of
from server.report.style import Style, legend, styles
from server.report.trace import Row, Table, attributes, figure, interval, titled, where

Record = dict[str, Any]

TOO_FEW, WITHHELD, UNTOLD = "too few", "withheld", "\N{EN DASH}"
AUROC = Measure("auroc", "AUROC")
CALIBRATION = (Measure("calibration_intercept", "intercept", 0.0), Measure("calibration_slope", "slope", 1.0))
_NAMES = {"positive": "positive", "auprc": "AUPRC", "brier": "Brier", "threshold": "threshold"}
_NAMES |= {"calibration_intercept": "cal. int.", "calibration_slope": "cal. slope"}
_NAMES |= {"sensitivity": "sens.", "specificity": "spec."}
_NOT_OF_MEANS = {"positive", "threshold", "sensitivity", "specificity"}  # there are none over several classes


def extended(results: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Add what `summarise` leaves out: intervals of all figures, positives and thresholds, as means over seeds."""
    keys = ["embedding", "strategy", "sources", "site"]
    test = results[results["split"] == "test"]
    further = [column for column in test.columns if column.endswith(("_low", "_high"))]
    further = [column for column in [*further, "positive", "threshold"] if column not in summary.columns]
    means = test.astype(dict.fromkeys(further, "float64")).groupby(keys, sort=False)[further]
    return summary.merge(means.agg(_mean_of_all).reset_index(), on=keys, how="left")


def table(summary: pd.DataFrame, over: str = "") -> Table:
    """Lay out the summary, one row a model and site; `over` as in `RunFolder`."""
    counts = _known(["positive"], over)
    rest = _known(["auprc", "brier", "calibration_slope", "sensitivity", "specificity"], over)
    headings = ["embedding", "site", "strategy", "learnt at", "n", *(_NAMES[name] for name in counts)]
    headings += ["AUROC", "95 % interval", "sd, seeds", *(_NAMES[name] for name in rest)]

    def cells(record: Record) -> list[str]:
        told = [count(record, "n"), *(count(record, name) for name in counts)]
        return [*told, *area_cells(record), *(told_of(record, name) for name in rest)]

    caption = f"Test encounters, mean over {over} and seeds" if over else "Test encounters, mean over seeds"
    return Table(caption, headings, grouped(summary, cells), 4)


def by_seed(results: pd.DataFrame, over: str = "") -> Table:
    """Lay out every row of results.csv, validation included; `over` as in `RunFolder`."""
    counts = _known(["positive"], over)
    rest = ["auprc", "brier", "calibration_intercept", "calibration_slope", "threshold", "sensitivity", "specificity"]
    rest = _known(rest, over)
    headings = ["embedding", "seed", "strategy", "learnt at", "site", "split", "n", *(_NAMES[name] for name in counts)]
    headings += ["AUROC", "95 % interval", *(_NAMES[name] for name in rest)]
    rows = []
    for record in records(results):
        key = where(**{name: record[name] for name in ("embedding", "seed", "strategy", "sources", "site", "split")})
        words = [str(record[name]) for name in ("embedding", "seed", "strategy", "sources", "site", "split")]
        words[3] = words[3].replace("+", ", ")
        figures = [count(record, "n"), *(count(record, name) for name in counts), told_of(record, "auroc")]
        figures += [interval(record["auroc_low"], record["auroc_high"], "auroc"), *(told_of(record, c) for c in rest)]
        rows.append(Row([*words, *figures], attributes(row=key, file=RESULTS, of="mean")))
    return Table(titled("Every seed and split", over), headings, rows, 6)


def calibration_table(summary: pd.DataFrame, over: str = "") -> Table:
    """Lay out calibration, and what happens at the threshold that was fixed at the sources; `over` as in `RunFolder`.

    Means over classes or labels have neither intervals nor thresholds.
    """
    if over:
        names = ["calibration_intercept", "calibration_slope", "brier"]
        headings = ["embedding", "site", "strategy", "learnt at", "intercept", "slope", "Brier"]
        rows = grouped(summary, lambda record: [told_of(record, name) for name in names])
        return Table(f"Calibration, mean over {over} and seeds", headings, rows, 4)
    headings = ["embedding", "site", "strategy", "learnt at", "intercept", "95 % interval", "slope", "95 % interval"]
    headings += ["Brier", "threshold", "sensitivity", "95 % interval", "specificity", "95 % interval"]
    return Table("Calibration and threshold, mean over seeds", headings, grouped(summary, _calibration_cells), 4)


def pictures(summary: pd.DataFrame, measures: Iterable[Measure]) -> list[dict[str, Any]]:
    """Draw each measure, one panel a site; gives heading, legend and panels."""
    drawn = []
    looks = styles(list(dict.fromkeys(summary["embedding"])))
    for measure in measures:
        scale = axis(summary, measure)
        if scale is not None:
            sites = summary.groupby("site", sort=False)
            panels = [(str(site), forest(str(site), rows, measure, scale, looks)) for site, rows in sites]
            drawn.append({"name": measure.name, "panels": panels})
    return [{**each, "legend": _legend(looks)} for each in drawn]


def matrices(summary: pd.DataFrame) -> list[Table]:
    """Give AUROC by sources and targets, one table an embedding; darker is higher, and the figure says it."""
    known = summary["auroc"].dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    sites = list(dict.fromkeys(summary["site"]))
    tables = []
    for embedding, part in summary.groupby("embedding", sort=False):
        rows = []
        for strategy in dict.fromkeys(summary["strategy"]):
            of_it = part[part["strategy"] == strategy]
            for place, (sources, row) in enumerate(of_it.groupby("sources", sort=False)):
                found = {record["site"]: record for record in records(row)}
                cells = [_shaded(found.get(site), low, high) for site in sites]
                rows.append(Row([str(strategy), _origin(str(strategy), str(sources)), *cells], first=place == 0))
        tables.append(Table(str(embedding), ["strategy", "learnt at", *sites], rows, 2))
    return tables


def over_all(measures: Iterable[Measure], over: str) -> list[Measure]:
    """Give measures their names as means; `over` as in `RunFolder`."""
    return [replace(measure, name=titled(measure.name, over)) for measure in measures]


def _known(names: list[str], over: str) -> list[str]:
    """Give those columns that there are."""
    return [name for name in names if not over or name not in _NOT_OF_MEANS]


def _mean_of_all(values: pd.Series[float]) -> float:
    """Average as `summarise` does: none where a seed has none."""
    return float(values.mean(skipna=False))


def _legend(looks: dict[str, Style]) -> Markup:
    return legend(looks, line=False) if len(looks) > 1 else Markup("")


def grouped(summary: pd.DataFrame, cells: Callable[[Record], list[str]]) -> list[Row]:
    """Give a row for each model of results.csv, with a line where another site or embedding begins."""
    rows, before = [], None
    for record in records(summary):
        group = (record["embedding"], record["site"])
        words = [str(record[name]) for name in ("embedding", "site", "strategy")]
        words.append(str(record["sources"]).replace("+", ", "))
        trace = attributes(row=rows_of(record), file=RESULTS, of="mean")
        rows.append(Row([*words, *cells(record)], trace, group != before))
        before = group
    return rows


def area_cells(record: Record) -> list[str]:
    """Give AUROC, its interval and its spread over seeds."""
    ends = interval(record["auroc_low"], record["auroc_high"], "auroc")
    return [told_of(record, "auroc"), ends, figure(record["seeds_sd"], "auroc", of="sd")]


def _calibration_cells(record: Record) -> list[str]:
    def pair(name: str) -> list[str]:
        return [told_of(record, name), interval(record[f"{name}_low"], record[f"{name}_high"], name)]

    cells = [*pair("calibration_intercept"), *pair("calibration_slope"), told_of(record, "brier")]
    return [*cells, told_of(record, "threshold"), *pair("sensitivity"), *pair("specificity")]


def count(record: Record, column: str) -> str:
    """Give a count, or that there were too few to tell."""
    return figure(record[column], column, places=0) or (TOO_FEW if column == "n" else "")


def told_of(record: Record, column: str) -> str:
    """Give a figure, or that the site keeps it back: it is neither zero nor unknown."""
    return figure(record[column], column) or (WITHHELD if column in str(record["withheld"]).split() else UNTOLD)


def _shaded(record: Record | None, low: float, high: float) -> str:
    """Give a cell of the matrix."""
    if record is None:
        return Markup('<span class="none">\N{MIDDLE DOT}</span>')
    if pd.isna(record["n"]):
        return TOO_FEW
    text = told_of(record, "auroc")
    if not pd.notna(record["auroc"]):
        return text
    share = (record["auroc"] - low) / (high - low) if high > low else 0.5
    trace = attributes(row=rows_of(record), file=RESULTS, of="mean")
    return Markup('<span class="shade" style="--share:{:.2f}"{}>{}</span>').format(share, trace, text)


def _origin(strategy: str, sources: str) -> str:
    """Say where a model was learnt, for the matrix's rows."""
    if strategy == LOCAL:
        return "the site itself"
    if strategy == POOLED:
        return "all sites in one place"
    return sources.replace("+", ", ") + (" (at home)" if strategy == SOURCE else "")
