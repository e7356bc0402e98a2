"""Each of several classes or labels against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from server.report.folder import CLASSES, records
from server.report.forest import axis, forest, rows_of
from server.report.performance import AUROC, TOO_FEW, WITHHELD, area_cells, count, told_of
from server.report.style import legend, styles
from server.report.trace import Row, Table, attributes, figure, where
from server.summary import summarise_classes

Record = dict[str, Any]

_MODEL = ["embedding", "strategy", "sources", "site"]


def of_classes(classes: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Give the means over seeds of each class, with what sites keep back as the summary of the means has it."""
    return summarise_classes(classes).merge(summary[[*_MODEL, "withheld"]], on=_MODEL, how="left")


def table(each: pd.DataFrame, one: str) -> Table:
    """Lay out every class of every model; `one` is "class" or "label"."""
    headings = ["embedding", "site", "strategy", "learnt at", one, "of it", "AUROC", "95 % interval", "sd, seeds"]
    headings += ["AUPRC", "Brier", "cal. int.", "cal. slope"]
    rows, before = [], None
    for record in records(each):
        model = tuple(record[name] for name in _MODEL)
        words = [str(record[name]) for name in ("embedding", "site", "strategy", "sources", "class")]
        words[3] = words[3].replace("+", ", ")
        trace = attributes(row=rows_of(record), file=CLASSES, of="mean")
        rows.append(Row([*words, *_cells(record)], trace, model != before))
        before = model
    return Table("Test encounters, each against the rest, mean over seeds", headings, rows, 5)


def pictures(each: pd.DataFrame) -> tuple[Markup, list[tuple[str, Markup]]]:
    """Draw AUROC, a panel for each site and class on one scale; gives legend and panels."""
    looks, scale = styles(list(dict.fromkeys(each["embedding"]))), axis(each, AUROC)
    if scale is None:
        return Markup(""), []
    panels = [
        (f"{site}: {name}", forest(f"{site}, {name} against the rest", rows, AUROC, scale, looks, _trace))
        for (site, name), rows in each.groupby(["site", "class"], sort=False)
    ]
    return legend(looks, line=False) if len(looks) > 1 else Markup(""), panels


def counts(classes: pd.DataFrame, one: str) -> Table:
    """Say how many of each site's encounters are of each class, as far as it told."""
    rows: list[Row] = []
    for (site, name), part in classes.groupby(["site", "class"], sort=False):
        cells: list[str] = [str(site), str(name)]
        for split in ("validation", "test"):
            of_it = part[part["split"] == split]
            key = where(site=site, split=split, **{"class": name})
            most = figure(of_it["positive"].astype("float64").max(), "positive", "max", 0, key, CLASSES)
            cells.append(most or ("not scored" if of_it.empty else "not told"))
        rows.append(Row(cells, first=bool(rows) and rows[-1].cells[0] != site))
    return Table(f"Encounters of each {one}", ["site", one, "validation", "test"], rows, 2)


def untold(classes: pd.DataFrame, one: str) -> Table:
    """Count by site and class of which models nothing was told, as too few patients have it or have it not."""
    rows = []
    for (site, split, name), part in classes.groupby(["site", "split", "class"], sort=False):
        silent = part[part["n"].isna()]
        key = where(site=site, split=split, **{"class": name})
        some = figure(len(silent), "note", "count", 0, f"{key};n=", CLASSES)
        every = figure(len(part), "note", "count", 0, key, CLASSES)
        if len(silent):
            why = str(silent["note"].iloc[0])
            rows.append(Row([str(site), str(split), str(name), why, Markup("{} of {}").format(some, every)]))
    return Table(f"Suppressed: nothing was told of one {one}", ["site", "split", one, "why", "rows"], rows, 4)


def extremes(each: pd.DataFrame, over: str) -> list[Markup]:
    """Give the limits that the classes' own figures show."""
    said = []
    for column, text in (
        ("auroc", "Of single {}, AUROC ranges from {} to {}."),
        ("calibration_slope", "Of single {}, calibration slopes range from {} to {}."),
    ):
        known = each.dropna(subset=[column])
        if len(known):
            ends = records(known.nsmallest(1, column)) + records(known.nlargest(1, column))
            said.append(Markup(text).format(over, *(_one(row, column) for row in ends)))
    return said


def _cells(record: Record) -> Sequence[str]:
    """Give a row's figures; where a count alone is absent, it would have told of another class."""
    own = count(record, "positive") or (TOO_FEW if pd.isna(record["n"]) else WITHHELD)
    rest = ("auprc", "brier", "calibration_intercept", "calibration_slope")
    return [own, *area_cells(record), *(told_of(record, name) for name in rest)]


def _trace(record: Record) -> Markup:
    return attributes(AUROC.column, rows_of(record), "mean", file=CLASSES)


def _one(record: Record, column: str) -> Markup:
    place = f"{record['class']}, {record['strategy']}, {record['embedding']}, at {record['site']}"
    trace = attributes(row=rows_of(record), file=CLASSES, of="mean")
    return Markup("<span{}>{} ({})</span>").format(trace, figure(record[column], column), place)
