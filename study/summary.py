"""What a study says: cells over seeds with intervals, strategies compared on the same patients, a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from client.questions import ASKED
from common.figures import METRICS
from common.files import write_atomically
from common.metrics import Floats, Integers
from common.statistics.comparisons import compare
from common.statistics.delong import Areas, areas
from common.statistics.seeds import spread
from study.config import Study
from study.parts import CLASSES, Part, parts_of, read
from study.run import CELLS
from study.scoring import areas_of

KEYS = ["preset", "embedding", "source", "target", "size", "strategy"]
OF_CLASSES = [*KEYS, "class"]
Spreads = dict[tuple[str, ...], tuple[float, ...]]


def write(folder: Path, study: Study) -> None:
    """Write cells.csv (a row a cell and seed), summary.csv (a row a cell) and comparisons.csv (a row a pair).

    Of several classes or labels classes.csv as well, a row for each cell and class.
    """
    rows = read(folder / CELLS, study)
    kept = {part: np.load(folder / CELLS / f"{part.name}.npz") for part in parts_of(study)}
    pairs = [row for preset in study.presets for row in _comparisons(preset, study, kept)]
    tables = {"cells": rows, "summary": _summary(rows, METRICS, KEYS, _spreads(kept))}
    if not study.shape.binary:
        tables["classes"] = _summary(read(folder / CELLS, study, CLASSES), ASKED, OF_CLASSES, _class_spreads(kept))
    for name, table in {**tables, "comparisons": pd.DataFrame(pairs)}.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False))


def _summary(rows: pd.DataFrame, metrics: tuple[str, ...], keys: list[str], spreads: Spreads) -> pd.DataFrame:
    """Give means over seeds, with intervals and spreads."""
    means = rows.groupby(keys, sort=False)[["n", "positive", *metrics]].mean()
    found = pd.DataFrame.from_dict(spreads, orient="index", columns=["low", "high", "sd_patients", "sd_seeds"])
    found.index = pd.MultiIndex.from_tuples(found.index, names=keys)
    return means.join(found).reset_index()


def _spreads(kept: Mapping[Part, Any]) -> Spreads:
    """Give each cell's interval for the recipe on new patients with new seeds, and the two spreads apart."""
    return {key: _spread(areas_of(labels, scores)) for key, labels, scores, _ in _cells(kept)}


def _class_spreads(kept: Mapping[Part, Any]) -> Spreads:
    """Give the same of each class or label against the rest."""
    return {
        (*key, str(name)): _spread(areas(labels[:, q], scores[:, :, q]))
        for key, labels, scores, names in _cells(kept)
        for q, name in enumerate(names)
    }


def _cells(kept: Mapping[Part, Any]) -> Iterator[tuple[tuple[str, ...], Integers, Floats, list[str]]]:
    """Give each cell's keys, labels and scores, and the names of its classes or labels where it has several."""
    for part, arrays in kept.items():
        for name in arrays.files:
            target, *rest = name.split("|")
            if len(rest) == 2:
                key = (part.preset, part.embedding, part.source or "", target, *rest)
                names = arrays[f"{target}|names"] if f"{target}|names" in arrays.files else []
                yield key, arrays[f"{target}|labels"].astype(np.int64), arrays[name].astype(np.float64), list(names)


def _spread(several: Areas) -> tuple[float, ...]:
    found = spread(several)
    recipe = found.recipe()
    return recipe.low, recipe.high, float(np.sqrt(found.patients)), float(np.sqrt(found.observed))


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
    stacked = areas_of(labels, np.concatenate(list(cells.values())).astype(np.float64))
    size = len(next(iter(cells.values())))
    rows = {name: list(range(number * size, (number + 1) * size)) for number, name in enumerate(cells)}
    return compare(stacked, rows, list(combinations(cells, 2))).to_dict(orient="records")


def show(folder: Path, study: Study) -> None:
    """Print AUROC by strategy and size, a column for each embedding; of several classes or labels each one's, too."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    over = "" if study.shape.binary else f"{study.shape.predicts}, and over "
    for preset, rows in _read(folder / "summary.csv").groupby("preset", sort=False):
        console.print(_table(f"preset {preset}: AUROC, mean over {over}seeds (sd over seeds)", rows, "embedding"))
    for table in [] if study.shape.binary else _of_classes(_read(folder / "classes.csv")):
        console.print(table)
    console.print(f"study folder: {folder}", soft_wrap=True, markup=False)


def _of_classes(classes: pd.DataFrame) -> Iterator[Table]:
    for (preset, embedding), rows in classes.groupby(["preset", "embedding"], sort=False):
        title = f"preset {preset}, {embedding}: AUROC of each against the rest, mean over seeds (sd over seeds)"
        yield _table(title, rows, "class")


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"size": str, "class": str})
    return table.fillna({"source": ""})


def _table(title: str, rows: pd.DataFrame, across: str) -> Table:
    """Lay AUROC out, a column for each value of `across`."""
    names = list(dict.fromkeys(rows[across]))
    table = Table(title=title, title_justify="left")
    for heading in ("target", "from", "strategy", "size"):
        table.add_column(heading)
    for name in names:
        table.add_column(str(name), justify="right", no_wrap=True)
    pairs = zip(rows["auroc"], rows["sd_seeds"], strict=True)
    shown = rows.assign(text=["" if np.isnan(auroc) else f"{auroc:.3f} ({sd:.3f})" for auroc, sd in pairs])
    wide = shown.pivot_table(index=["target", "source", "strategy", "size"], columns=across, values="text",
                             aggfunc="first", sort=False)  # fmt: skip
    previous: Any = None
    for key, line in wide.iterrows():
        assert isinstance(key, tuple)
        if previous not in (None, key[:2]):
            table.add_section()
        previous = key[:2]
        table.add_row(*map(str, key), *(str(line.get(name, "")) for name in names))
    return table
