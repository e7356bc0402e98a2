"""The model card: which models there are, how each does, and whether the files are those that the run wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
from markupsafe import Markup
from safetensors.numpy import load_file

from common.strategies import POOLED, SOURCE
from server.report.folder import RESULTS, RunFolder, records
from server.report.trace import Row, Table, attributes, figure, interval, titled, where

ORDER = ("conv.weight", "conv.bias", "linear.weight", "linear.bias")  # of the numbers that a digest is over

SAME, OTHER, GONE, DAMAGED = "as noted", "DIFFERS", "not in this folder", "cannot be read"


def models(run: RunFolder) -> Table:
    """List every file of weights with its SHA-256, whether it still has it, and its test figures."""
    named = _by_name(run.results)
    rows = []
    for name, noted in run.weights.items():
        state = check(run.path / "weights" / f"{name}.safetensors", noted)
        told = [_figures(row) for row in named.get(name, [])]
        figures = Markup("<br>").join(told) if told else "see the table"
        mark = state if state == SAME else Markup("<strong>{}</strong>").format(state)
        rows.append(Row([name, figures, Markup("<code>{}</code>").format(noted), mark]))
    auroc = f"{titled('test AUROC', run.over)}, 95 % interval"
    headings = ["weights/*.safetensors", auroc, "SHA-256 of the numbers", "now"]
    return Table("Models of this run", headings, rows, 4)


def check(path: Path, noted: str) -> str:
    """Say whether a file of weights has the numbers that results.json noted."""
    if not path.is_file():
        return GONE
    try:
        state = load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError):
        return DAMAGED
    flat = [np.ascontiguousarray(state[name], "<f4").tobytes() for name in ORDER if name in state]
    return SAME if hashlib.sha256(b"".join(flat)).hexdigest() == noted else OTHER


def extremes(summary: pd.DataFrame, over: str = "") -> list[Markup]:
    """Give the limits that the run's own figures show; `over` as in `RunFolder`."""
    said, mean = [], f"mean over {over}, " if over else ""
    wide = summary.assign(width=summary["auroc_high"] - summary["auroc_low"]).dropna(subset=["width"])
    if len(wide):
        row = records(wide.nlargest(1, "width"))[0]
        ends = interval(row["auroc_low"], row["auroc_high"], "auroc")
        text = "The widest 95 % interval of an AUROC is {} (" + mean + "{}, {}, at {}, on {} test encounters)."
        n = figure(row["n"], "n", places=0)
        said.append(_said(text, row, ends, row["strategy"], row["embedding"], row["site"], n))
    for column, text in (
        ("calibration_slope", "Calibration slopes range from {} to {}; 1 is right."),
        ("sensitivity", "At thresholds fixed at the sources, sensitivity ranges from {} to {}."),
        ("specificity", "At these thresholds, specificity ranges from {} to {}."),
    ):
        known = summary.dropna(subset=[column])
        if len(known):
            rows = [*records(known.nsmallest(1, column)), *records(known.nlargest(1, column))]
            said.append(Markup(text).format(*(_one(row, column, mean) for row in rows)))
    return said


def _one(row: dict[str, Any], column: str, mean: str) -> Markup:
    told = figure(row[column], column)
    place = f"{mean}{row['strategy']}, {row['embedding']}, at {row['site']}"
    return _said("{} ({})", row, told, place)


def _said(text: str, row: dict[str, Any], *parts: object) -> Markup:
    """Put figures of one row of the summary into a sentence."""
    keys = {name: row[name] for name in ("embedding", "strategy", "sources", "site")}
    trace = attributes(row=where(**keys, split="test"), file=RESULTS, of="mean")
    return Markup("<span{}>" + text + "</span>").format(trace, *parts)


def _by_name(results: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Give the test rows of each file of weights; files are named after all that they depend on."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in records(results[results["split"] == "test"]):
        what = row["strategy"] if row["strategy"] in (SOURCE, POOLED) else f"{row['strategy']}-{row['site']}"
        name = "_".join(filter(None, [row["embedding"], str(row["seed"]), row["sources"], what]))
        found.setdefault(name, []).append(row)
    return found


def _figures(row: dict[str, Any]) -> Markup:
    value, low, high = (row[f"auroc{end}"] for end in ("", "_low", "_high"))
    key = where(**{name: row[name] for name in ("embedding", "seed", "strategy", "sources", "site", "split")})
    told = figure(value, "auroc") or Markup("not told")
    ends = interval(low, high, "auroc")
    text = Markup("{}: {} ({})") if ends else Markup("{}: {}")
    trace = attributes(row=key, file=RESULTS, of="mean")
    return Markup("<span{}>{}</span>").format(trace, text.format(row["site"], told, ends))
