"""How a model did in its run, as tables of the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from common.figures import HITS
from common.strategies import SOURCE
from common.trained.key import Key
from common.trained.model import TrainedModel
from common.trained.run import RunModels

_FIGURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
_OF_SEVERAL = {name: words for name, words in _FIGURES.items() if name not in HITS}
_INTERVALS = "Test encounters of each site, with 95 % intervals over patients; blank where the site keeps it back."


def scores(model: TrainedModel, run: RunModels | None) -> str:
    """Give the rows of results.csv that are of this model's test encounters; of several also each against the rest."""
    rows = [] if run is None else rows_of(run.results, model.key)
    if run is None or not rows:
        return "Not known: the run's results were not at hand when this was written.\n"
    if model.shape.binary:
        counts = {"n": "encounters", "positive": "positive"}
        return f"{_INTERVALS}\n\n{_table(rows, {'site': 'site'}, counts, _FIGURES, ['threshold'])}"
    several, one = ("classes", "class") if model.shape.labels is None else ("labels", "label")
    means = _table(rows, {"site": "site"}, {"n": "encounters"}, _OF_SEVERAL)
    text = f"{_INTERVALS}\n\nMeans over {several}; of them AUROC's alone has an interval.\n\n{means}"
    if each := rows_of(run.classes, model.key):
        words, counts = {"site": "site", "class": one}, {"n": "encounters", "positive": "of it"}
        text += f"\nEach {one} against the rest; one that a site tells nothing of is in none of its means.\n\n"
        text += _table(each, words, counts, _OF_SEVERAL)
    return text


def rows_of(table: pd.DataFrame, key: Key) -> list[dict[str, Any]]:
    """Give the rows on the test encounters that a model was scored on, of results.csv or classes.csv."""
    names = [SOURCE, "direct"] if key.strategy == SOURCE else [key.strategy]
    same = (table["embedding"] == key.embedding) & (table["seed"] == key.seed) & (table["sources"] == key.sources)
    rows = table[same & table["strategy"].isin(names) & (table["split"] == "test")]
    if key.target:
        rows = rows[rows["site"] == key.target]
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict(orient="records")]


def _table(
    rows: Sequence[Mapping[str, Any]],
    words: Mapping[str, str],
    counts: Mapping[str, str],
    figures: Mapping[str, str],
    last: Sequence[str] = (),
) -> str:
    """Lay rows out: words as they are, counts, figures with their intervals, and figures without."""
    headings = [*words.values(), *counts.values(), *figures.values(), *last]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = [*(str(row[name]) for name in words), *(_cell(row.get(name), 0) for name in counts)]
        cells += [*(_figure(row, name) for name in figures), *(_cell(row.get(name), 3) for name in last)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure(row: Mapping[str, Any], name: str) -> str:
    ends = [_cell(row.get(f"{name}{end}"), 3) for end in ("_low", "_high")]
    value = _cell(row.get(name), 3)
    return f"{value} ({' to '.join(ends)})" if value and all(ends) else value


def _cell(value: Any, places: int) -> str:
    return "" if value is None or pd.isna(value) else f"{float(value):.{places}f}"
