"""What an audit says: attacks.csv and attacks.json for programs, tables for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from attacks.config import Audit
from attacks.judging import FALSE
from attacks.run import CASES, FILE
from common.files import write_atomically

KEYS = ("defence", "strategy", "sources", "size", "seen_by", "attack", "detail")
_FIGURES = ("auc", "tpr", "advantage", "memorised")
COLUMNS = (
    *KEYS,
    *(f"{name}{end}" for name in _FIGURES for end in ("", "_low", "_high")),
    "baseline_auc",
    "baseline_tpr",
    "precision",
    "recall",
    "right",
    "baseline_right",
    "positives",
    "negatives",
    "models",
    "auroc",
    "auroc_sd",
    "refused",
)
_RATE = f"TPR at {FALSE:.1%} FPR"


def write(folder: Path, audit: Audit) -> None:
    """Write attacks.csv and attacks.json, a row for each attack, in the order of the audit."""
    rows = [row for case in audit.cases for row in json.loads((folder / CASES / f"{case.name}.json").read_text())]
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    write_atomically(folder / "attacks.csv", table.to_csv(index=False))
    about = json.loads((folder / FILE).read_text())
    write_atomically(folder / "attacks.json", json.dumps({"audit": about, "attacks": rows}, indent=1) + "\n")


def show(folder: Path) -> None:
    """Print the tables."""
    rows = pd.read_csv(folder / "attacks.csv", dtype={"detail": str})
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for table in (_membership(rows), _attribute(rows), _tokens(rows)):
        if table.row_count:
            console.print(table)
    if rows["refused"].any():
        sizes = ", ".join(str(size) for size in sorted(rows.loc[rows["refused"], "size"].unique()))
        console.print(f"At size {sizes} the site's min_cell refuses to train; what it would give away is shown.")
    for defence in rows["defence"].unique():
        console.print(f"defence: {defence}")
    console.print(f"audit folder: {folder}", soft_wrap=True, markup=False)


def _membership(rows: pd.DataFrame) -> Table:
    headings = ("AUROC (sd)", "loss: AUC", _RATE, "LiRA: AUC", _RATE)
    table = _begin("Who was in it? Membership of one encounter", ("seen by", *headings))
    chosen = rows[rows["attack"].isin(["loss", "lira"])]
    for key, pair in chosen.groupby(["strategy", "sources", "size", "seen_by"], sort=False):
        own = {row["attack"]: row for _, row in pair.iterrows()}
        figures = [
            text for name in ("loss", "lira") for text in (_interval(own[name], "auc"), _interval(own[name], "tpr"))
        ]
        quality = f"{own['lira']['auroc']:.3f} ({own['lira']['auroc_sd']:.3f})"
        table.add_row(*map(str, key), quality, *figures)
    return table


def _attribute(rows: pd.DataFrame) -> Table:
    headings = ("finding", "AUC", "without the model", "advantage", "over others")
    table = _begin("Which value? One finding from the rest, the label and the model", headings)
    for _, row in rows[rows["attack"] == "attribute"].iterrows():
        figures = (_interval(row, "auc"), f"{row['baseline_auc']:.3f}", _interval(row, "advantage"))
        table.add_row(*_case(row), row["detail"], *figures, _interval(row, "memorised"))
    return table


def _tokens(rows: pd.DataFrame) -> Table:
    headings = ("seen by", "batch", "AUC", "without", _RATE, "without", "precision", "recall", "encounter", "without")
    table = _begin("What was in it? Tokens of a batch from one change of the weights", headings)
    for _, row in rows[rows["attack"] == "tokens"].iterrows():
        names = ("auc", "baseline_auc", "tpr", "baseline_tpr", "precision", "recall", "right", "baseline_right")
        table.add_row(*_case(row), row["seen_by"], row["detail"], *(_number(row[name]) for name in names))
    return table


def _begin(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("strategy", "sources", "size", *headings):
        table.add_column(heading)
    return table


def _case(row: Any) -> tuple[str, str, str]:
    return str(row["strategy"]), str(row["sources"]), str(row["size"])


def _interval(row: Any, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _number(row[name]) + ("" if pd.isna(low) else f" ({low:.3f}-{high:.3f})")


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"
