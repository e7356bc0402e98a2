"""The grid of a study: AUROC with its interval, a column for each embedding; and every figure of every cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from server.report.folder import records
from server.report.study.folder import SUMMARY, StudyFolder, behind, in_order, written
from server.report.trace import Row, Table, attributes, figure

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
    said |= {"seeds": ", ".join(map(str, content.get("seeds", []))), "directions": "; ".join(ways), "cells": cells}
    return {name: text for name, text in said.items() if text}


def grids(study: StudyFolder) -> list[Table]:
    """Lay out AUROC, a table for each preset and target."""
    summary = study.summary
    tables = []
    for (preset, target), rows in summary.groupby(["preset", "target"], sort=False):
        embeddings = list(dict.fromkeys(rows["embedding"]))
        lines: list[Row] = []
        for source in dict.fromkeys(rows["source"]):
            for size in in_order(rows["size"]):
                chosen = rows[(rows["source"] == source) & (rows["size"] == size)]
                lines += _lines(
                    str(source), size, chosen, embeddings, bool(source) or size == in_order(rows["size"])[0]
                )
        headings = ["learnt at", "size", "strategy", *embeddings]
        tables.append(Table(f"AUROC at {target}, preset {preset}", headings, lines, 3))
    return tables


def every_cell(study: StudyFolder) -> Table:
    """Lay out summary.csv."""
    headings = ["preset", "embedding", "learnt at", "target", "size", "strategy", "n", "positive", "AUROC"]
    headings += ["95 % interval", "sd, patients", "sd, seeds", *_REST.values()]
    rows, before = [], None
    for record in records(study.summary):
        group = [record[name] for name in ("preset", "embedding", "source", "target")]
        words = [record["preset"], record["embedding"], origin(record["source"]), record["target"]]
        words += [written(record["size"]), record["strategy"]]
        figures = [figure(record[name], name, places=0) for name in ("n", "positive")]
        figures += [figure(record["auroc"], "auroc"), ends(record)]
        rest = ("sd_patients", "sd_seeds", *_REST)
        figures += [figure(record.get(name), name) or Markup(_DASH) for name in rest]
        rows.append(Row([*words, *figures], trace(record), group != before))
        before = group
    return Table("Every cell, mean over seeds", headings, rows, 6)


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


def _lines(source: str, size: str, chosen: pd.DataFrame, embeddings: list[str], apart: bool) -> list[Row]:
    """Give a row for each strategy, of one source and size; the first is set apart where `apart`."""
    lines: list[Row] = []
    for strategy in dict.fromkeys(chosen["strategy"]):
        found = {record["embedding"]: record for record in records(chosen[chosen["strategy"] == strategy])}
        cells = [_cell(found.get(embedding)) for embedding in embeddings]
        lines.append(Row([origin(source), written(size), str(strategy), *cells], first=apart and not lines))
    return lines


def _cell(record: dict[str, Any] | None) -> Markup:
    """Give an AUROC and, below it, its interval."""
    if record is None or pd.isna(record["auroc"]):
        return Markup(_DASH)
    text = Markup('<span{}>{} <span class="ends">{}</span></span>')
    return text.format(trace(record), figure(record["auroc"], "auroc"), ends(record))
