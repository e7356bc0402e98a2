"""Tables of a study: AUROC with its interval, a column for each embedding or class; and all figures of every cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from common.figures import HITS
from server.report.folder import records
from server.report.study.folder import CLASSES, SUMMARY, StudyFolder, behind, in_order, written
from server.report.trace import Row, Table, attributes, figure, titled

_ALONE = "the target itself"
_DASH = "\N{EN DASH}"
_REST = {
    "auprc": "AUPRC",
    "brier": "Brier",
    "calibration_intercept": "cal. int.",
    "calibration_slope": "cal. slope",
    "sensitivity": "sens.",
    "specificity": "spec.",
}


def facts(study: StudyFolder) -> dict[str, str]:
    """Give what was asked, in order; without files, which are places on a machine."""
    content = study.content
    said = {name: ", ".join(map(str, content.get(name, []))) for name in ("embeddings", "strategies", "sizes")}
    ways = [f"{', '.join(way['sources'])} to {', '.join(way['targets'])}" for way in content.get("directions", [])]
    cells = figure(len(study.summary), "auroc", "count", 0, "lines=0-999999", SUMMARY)
    said = {"study": content["name"], "presets": ", ".join(content.get("presets", [])), **said}
    if study.over:
        said["predicted"] = study.shape.predicts
    said |= {"seeds": ", ".join(map(str, content.get("seeds", []))), "directions": "; ".join(ways), "cells": cells}
    return {name: text for name, text in said.items() if text}


def grids(study: StudyFolder) -> list[Table]:
    """Lay out AUROC, a table for each preset and target."""
    return [
        _grid(titled(f"AUROC at {target}, preset {preset}", study.over), rows, "embedding", SUMMARY)
        for (preset, target), rows in study.summary.groupby(["preset", "target"], sort=False)
    ]


def each_class(study: StudyFolder) -> list[Table]:
    """Lay out AUROC of each class or label against the rest, a table for each preset, embedding and target."""
    if not study.over:
        return []
    groups = study.classes.groupby(["preset", "embedding", "target"], sort=False)
    return [
        _grid(f"AUROC at {target}, {embedding}, preset {preset}", rows, "class", CLASSES)
        for (preset, embedding, target), rows in groups
    ]


def every_cell(study: StudyFolder) -> Table:
    """Lay out summary.csv; means over classes or labels have no positives, sensitivity and specificity."""
    counts = ("n",) if study.over else ("n", "positive")
    rest = {name: heading for name, heading in _REST.items() if not (study.over and name in HITS)}
    headings = ["preset", "embedding", "learnt at", "target", "size", "strategy", *counts, "AUROC"]
    headings += ["95 % interval", "sd, patients", "sd, seeds", *rest.values()]
    rows, before = [], None
    for record in records(study.summary):
        group = [record[name] for name in ("preset", "embedding", "source", "target")]
        words = [record["preset"], record["embedding"], origin(record["source"]), record["target"]]
        words += [written(record["size"]), record["strategy"]]
        figures = [figure(record[name], name, places=0) for name in counts]
        figures += [figure(record["auroc"], "auroc"), ends(record)]
        figures += [figure(record.get(name), name) or Markup(_DASH) for name in ("sd_patients", "sd_seeds", *rest)]
        rows.append(Row([*words, *figures], trace(record), group != before))
        before = group
    return Table(f"Every cell, mean over {study.over + ' and ' if study.over else ''}seeds", headings, rows, 6)


def ends(record: dict[str, Any]) -> Markup:
    """Give an interval of the columns ``low`` and ``high``."""
    if pd.isna(record["low"]) or pd.isna(record["high"]):
        return Markup("")
    text = Markup("{} to {}") if record["low"] < 0 else Markup("{}\N{EN DASH}{}")
    return text.format(figure(record["low"], "low"), figure(record["high"], "high"))


def trace(record: dict[str, Any], file: str = SUMMARY) -> Markup:
    """Say which row of a file is behind what stands in an element."""
    return attributes(row=behind(record), file=file, of="mean")


def origin(source: str) -> str:
    """Say in words where a model was learnt."""
    return source or _ALONE


def _grid(caption: str, rows: pd.DataFrame, across: str, file: str) -> Table:
    """Lay out AUROC, a column for each value of the column `across`."""
    names = list(dict.fromkeys(rows[across]))
    lines: list[Row] = []
    for source in dict.fromkeys(rows["source"]):
        for size in in_order(rows["size"]):
            chosen = rows[(rows["source"] == source) & (rows["size"] == size)]
            for number, strategy in enumerate(dict.fromkeys(chosen["strategy"])):
                found = {record[across]: record for record in records(chosen[chosen["strategy"] == strategy])}
                cells = [_cell(found.get(name), file) for name in names]
                first = number == 0 and (bool(source) or size == in_order(rows["size"])[0])
                lines.append(Row([origin(str(source)), written(size), str(strategy), *cells], first=first))
    return Table(caption, ["learnt at", "size", "strategy", *names], lines, 3)


def _cell(record: dict[str, Any] | None, file: str) -> Markup:
    """Give an AUROC and, below it, its interval."""
    if record is None or pd.isna(record["auroc"]):
        return Markup(_DASH)
    text = Markup('<span{}>{} <span class="ends">{}</span></span>')
    return text.format(trace(record, file), figure(record["auroc"], "auroc"), ends(record))
