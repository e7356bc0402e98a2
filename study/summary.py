"""What a study says: cells over seeds with intervals, strategies compared on the same patients, a table for people."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from common.files import write_atomically
from common.statistics.comparisons import compare
from common.statistics.delong import Areas, areas
from common.statistics.seeds import spread
from study.config import Study
from study.parts import METRICS, Part, parts_of, read
from study.run import CELLS

KEYS = ["preset", "embedding", "source", "target", "size", "strategy"]


def write(folder: Path, study: Study) -> None:
    """Write cells.csv (a row a cell and seed), summary.csv (a row a cell) and comparisons.csv (a row a pair)."""
    rows = read(folder / CELLS, study)
    means = rows.groupby(KEYS, sort=False)[["n", "positive", *METRICS]].mean()
    kept = {part: np.load(folder / CELLS / f"{part.name}.npz") for part in parts_of(study)}
    spreads = {key: cell for part, scores in kept.items() for key, cell in _spreads(part, scores).items()}
    found = pd.DataFrame.from_dict(spreads, orient="index", columns=["low", "high", "sd_patients", "sd_seeds"])
    found.index = pd.MultiIndex.from_tuples(found.index, names=KEYS)
    summary = means.join(found).reset_index()
    pairs = [row for preset in study.presets for row in _comparisons(preset, study, kept)]
    for name, table in {"cells": rows, "summary": summary, "comparisons": pd.DataFrame(pairs)}.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False))


def _spreads(part: Part, scores: Any) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Give each cell's interval for the recipe on new patients with new seeds, and the two spreads apart."""
    result: dict[tuple[str, ...], tuple[float, ...]] = {}
    for name in scores.files:
        target, *rest = name.split("|")
        if rest != ["labels"]:
            found = spread(areas(scores[f"{target}|labels"].astype(np.int64), scores[name].astype(np.float64)))
            recipe = found.recipe()
            key = (part.preset, part.embedding, part.source or "", target, *rest)
            result[key] = (recipe.low, recipe.high, float(np.sqrt(found.patients)), float(np.sqrt(found.observed)))
    return result


def _comparisons(preset: str, study: Study, kept: dict[Part, Any]) -> list[dict[str, Any]]:
    """Compare strategies with each other, for one embedding, source, target and size; Holm over these pairs."""
    result = []
    for part, scores in kept.items():
        if part.preset != preset:
            continue
        alone = kept.get(Part(part.preset, part.embedding, None, tuple(study.targets)))
        for target in part.targets:
            for size in map(str, study.sizes):
                cells = {name: one[f"{target}|{size}|{name}"] for one in (scores, alone) if one is not None
                         for name in study.strategies if f"{target}|{size}|{name}" in one.files}  # fmt: skip
                keys = {"preset": preset, "embedding": part.embedding, "source": part.source or "", "target": target}
                if part.source is not None and len(cells) > 1:
                    labels = scores[f"{target}|labels"].astype(np.int64)
                    result += [keys | {"size": size} | row for row in _pairs(labels, cells)]
    return result


def _pairs(labels: Any, cells: dict[str, Any]) -> list[dict[Any, Any]]:
    stacked: Areas = areas(labels, np.concatenate(list(cells.values())).astype(np.float64))
    size = len(next(iter(cells.values())))
    rows = {name: list(range(number * size, (number + 1) * size)) for number, name in enumerate(cells)}
    return compare(stacked, rows, list(combinations(cells, 2))).to_dict(orient="records")


def show(folder: Path) -> None:
    """Print AUROC by strategy and size, a column for each embedding."""
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False, na_values=[""], dtype={"size": str})
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for preset, rows in summary.fillna({"source": ""}).groupby("preset", sort=False):
        console.print(_table(str(preset), rows))
    console.print(f"study folder: {folder}", soft_wrap=True, markup=False)


def _table(preset: str, rows: pd.DataFrame) -> Table:
    embeddings = list(dict.fromkeys(rows["embedding"]))
    table = Table(title=f"preset {preset}: AUROC, mean over seeds (sd over seeds)", title_justify="left")
    for heading in ("target", "from", "strategy", "size"):
        table.add_column(heading)
    for name in embeddings:
        table.add_column(name, justify="right", no_wrap=True)
    shown = rows.assign(text=[f"{a:.3f} ({s:.3f})" for a, s in zip(rows["auroc"], rows["sd_seeds"], strict=True)])
    wide = shown.pivot_table(index=["target", "source", "strategy", "size"], columns="embedding", values="text",
                             aggfunc="first", sort=False)  # fmt: skip
    previous: Any = None
    for key, line in wide.iterrows():
        assert isinstance(key, tuple)
        if previous not in (None, key[:2]):
            table.add_section()
        previous = key[:2]
        table.add_row(*map(str, key), *(str(line.get(name, "")) for name in embeddings))
    return table
