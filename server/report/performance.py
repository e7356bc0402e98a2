"""How the models do: the table, the matrix of sources and targets, and calibration with thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
from markupsafe import Markup

from common.strategies import LOCAL, POOLED, SOURCE
from server.report.folder import RESULTS, records
from server.report.forest import Measure, axis, forest, rows_of
from server.report.style import Style, legend, styles
from server.report.trace import Row, Table, attributes, figure, interval, where

Record = dict[str, Any]

TOO_FEW, WITHHELD, UNTOLD = "too few", "withheld", "\N{EN DASH}"
AUROC = Measure("auroc", "AUROC")
CALIBRATION = (Measure("calibration_intercept", "intercept", 0.0), Measure("calibration_slope", "slope", 1.0))


def extended(results: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Add what `summarise` leaves out: intervals of all figures, positives and thresholds, as means over seeds."""
    keys = ["embedding", "strategy", "sources", "site"]
    test = results[results["split"] == "test"]
    further = [column for column in test.columns if column.endswith(("_low", "_high"))]
    further = [column for column in [*further, "positive", "threshold"] if column not in summary.columns]
    means = test.astype(dict.fromkeys(further, "float64")).groupby(keys, sort=False)[further]
    return summary.merge(means.agg(_mean_of_all).reset_index(), on=keys, how="left")


def table(summary: pd.DataFrame) -> Table:
    """Lay out the summary, one row a model and site."""
    headings = ["embedding", "site", "strategy", "learnt at", "n", "positive", "AUROC", "95 % interval", "sd, seeds"]
    headings += ["AUPRC", "Brier", "cal. slope", "sens.", "spec."]
    return Table("Test encounters, mean over seeds", headings, _grouped(summary, _summary_cells), 4)


def by_seed(results: pd.DataFrame) -> Table:
    """Lay out every row of results.csv, validation included."""
    headings = ["embedding", "seed", "strategy", "learnt at", "site", "split", "n", "positive"]
    headings += ["AUROC", "95 % interval", "AUPRC", "Brier", "cal. int.", "cal. slope", "threshold", "sens.", "spec."]
    rows = []
    for record in records(results):
        key = where(**{name: record[name] for name in ("embedding", "seed", "strategy", "sources", "site", "split")})
        words = [str(record[name]) for name in ("embedding", "seed", "strategy", "sources", "site", "split")]
        words[3] = words[3].replace("+", ", ")
        rest = (
            "auprc",
            "brier",
            "calibration_intercept",
            "calibration_slope",
            "threshold",
            "sensitivity",
            "specificity",
        )
        figures = [_count(record, "n"), _count(record, "positive"), _told(record, "auroc")]
        figures += [interval(record["auroc_low"], record["auroc_high"], "auroc"), *(_told(record, c) for c in rest)]
        rows.append(Row([*words, *figures], attributes(row=key, file=RESULTS, of="mean")))
    return Table("Every seed and split", headings, rows, 6)


def calibration_table(summary: pd.DataFrame) -> Table:
    """Lay out calibration, and what happens at the threshold that was fixed at the sources."""
    headings = ["embedding", "site", "strategy", "learnt at", "intercept", "95 % interval", "slope", "95 % interval"]
    headings += ["Brier", "threshold", "sensitivity", "95 % interval", "specificity", "95 % interval"]
    return Table("Calibration and threshold, mean over seeds", headings, _grouped(summary, _calibration_cells), 4)


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


def _mean_of_all(values: pd.Series[float]) -> float:
    """Average as `summarise` does: none where a seed has none."""
    return float(values.mean(skipna=False))


def _legend(looks: dict[str, Style]) -> Markup:
    return legend(looks, line=False) if len(looks) > 1 else Markup("")


def _grouped(summary: pd.DataFrame, cells: Callable[[Record], list[str]]) -> list[Row]:
    """Give a row for each model, with a line where another site or embedding begins."""
    rows, before = [], None
    for record in records(summary):
        group = (record["embedding"], record["site"])
        words = [str(record[name]) for name in ("embedding", "site", "strategy")]
        words.append(str(record["sources"]).replace("+", ", "))
        trace = attributes(row=rows_of(record), file=RESULTS, of="mean")
        rows.append(Row([*words, *cells(record)], trace, group != before))
        before = group
    return rows


def _summary_cells(record: Record) -> list[str]:
    auroc = _told(record, "auroc")
    ends = interval(record["auroc_low"], record["auroc_high"], "auroc")
    spread = figure(record["seeds_sd"], "auroc", of="sd")
    rest = ("auprc", "brier", "calibration_slope", "sensitivity", "specificity")
    counts = [_count(record, "n"), _count(record, "positive")]
    return [*counts, auroc, ends, spread, *(_told(record, name) for name in rest)]


def _calibration_cells(record: Record) -> list[str]:
    def pair(name: str) -> list[str]:
        return [_told(record, name), interval(record[f"{name}_low"], record[f"{name}_high"], name)]

    cells = [*pair("calibration_intercept"), *pair("calibration_slope"), _told(record, "brier")]
    return [*cells, _told(record, "threshold"), *pair("sensitivity"), *pair("specificity")]


def _count(record: Record, column: str) -> str:
    """Give a count, or that there were too few to tell."""
    return figure(record[column], column, places=0) or (TOO_FEW if column == "n" else "")


def _told(record: Record, column: str) -> str:
    """Give a figure, or that the site keeps it back: it is neither zero nor unknown."""
    return figure(record[column], column) or (WITHHELD if column in str(record["withheld"]).split() else UNTOLD)


def _shaded(record: Record | None, low: float, high: float) -> str:
    """Give a cell of the matrix."""
    if record is None:
        return Markup('<span class="none">\N{MIDDLE DOT}</span>')
    if pd.isna(record["n"]):
        return TOO_FEW
    text = _told(record, "auroc")
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
