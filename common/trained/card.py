"""The model card of an exported model, as Markdown: what it was learnt on, by whom, how it does, what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from common import __version__
from common.strategies import POOLED, SOURCE, STRATEGIES
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
_USE = """\
To give the probability that an encounter is positive, at a site whose encounters are recorded as those of the sites
above were, with an embedding table of the same space. What "positive" means is in the sites' own files: ask them. The
figures above are of past encounters; whether the model helps anybody was not studied. It was not made to decide alone.
"""
_LIMITS = """\
- Another site, another season or another way of recording moves the level of the probabilities before it moves their
  order: look at calibration on your own encounters first, and recalibrate.
- A concept whose words are far from any that it was trained on is scored all the same (`sitebridge embed coverage`).
- Intervals are over patients of one site; they say nothing of other sites, and the choice among several models by these
  figures makes them look better than they are.
- Weights were learnt from patients. What they tell of single ones has not been measured.
"""


def card(model: TrainedModel, run: RunModels | None, files: Sequence[str]) -> str:
    """Give the card.

    Parameters
    ----------
    run : RunModels, optional
        Where the model comes from; without it the card has no figures.
    files : sequence of str
        Lines on what is beside the card.
    """
    parts = [
        f"# Model card: {model.run}\n\n{model.key.words[0].upper()}{model.key.words[1:]}.\n",
        _section("What is here", "".join(f"- {line}\n" for line in files)),
        _section("What it was learnt on, and by whom", "".join(f"- {line}\n" for line in _origin(model, run))),
        _section("How it does", _scores(model.key, run)),
        _section("How it reads encounters", "".join(f"- {line}\n" for line in _settings(model))),
        _section("Intended use", _USE),
        _section("Limits", _LIMITS),
        f"Written by Sitebridge {__version__}.\n",
    ]
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _origin(model: TrainedModel, run: RunModels | None) -> Iterator[str]:
    key = model.key
    where = "all sites' encounters in one place" if key.strategy == POOLED else f"site {key.sources.replace('+', ', ')}"
    told = _trained(run, key, POOLED if key.strategy == POOLED else SOURCE)
    yield (
        f"Learnt at {where} in the federation {model.run!r}{told}. No record left a site."
        if key.sources
        else (f"Learnt on {where}, in a simulation of the federation {model.run!r}{told}.")
    )
    if key.target:
        told = _trained(run, key, key.strategy)
        yield f"Then, at {key.target}: {STRATEGIES[key.strategy].meaning}{told}."
    if run is not None:
        training = run.federation.tuning if key.target else run.federation.training
        kept = training.model_dump(exclude={"pull"} if key.strategy != "l2-sp" else set())
        yield "Training: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in kept.items()) + "."
    yield "Who started the run, and who answers for it, is not recorded: the federation's coordinator knows."


def _trained(run: RunModels | None, key: Key, phase: str) -> str:
    """Say on how many encounters sites trained, as far as they told."""
    if run is None:
        return ""
    table = run.rounds
    rows = table[(table["embedding"] == key.embedding) & (table["seed"] == key.seed) & (table["phase"] == phase)]
    sites = [key.target] if phase == key.strategy and key.target else key.sources.split("+")
    rows = rows if phase == POOLED else rows[rows["site"].isin(sites)]
    if "round" in rows and phase in (SOURCE, POOLED):
        rows = rows[rows["round"] > 0]  # the last message scores, and counts other encounters
    counts = rows.dropna(subset=["encounters"]).groupby("site", sort=False)["encounters"].max()
    listed = ", ".join(f"{site} {int(count)}" for site, count in counts.items())
    return f" (training encounters: {listed})" if listed else ""


def _scores(key: Key, run: RunModels | None) -> str:
    """Give the rows of results.csv that are of this model's test encounters, as a table."""
    rows = [] if run is None else rows_of(run.results, key)
    if not rows:
        return "Not known: the run's results were not at hand when this was written.\n"
    headings = ["site", "encounters", "positive", *_FIGURES.values(), "threshold"]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        counts = [_cell(row.get(name), 0) for name in ("n", "positive")]
        figures = [_figure(row, name) for name in _FIGURES]
        lines.append(f"| {' | '.join([str(row['site']), *counts, *figures, _cell(row.get('threshold'), 3)])} |")
    text = "Test encounters of each site, with 95 % intervals over patients; blank where the site keeps it back.\n"
    return text + "\n" + "\n".join(lines) + "\n"


def rows_of(results: pd.DataFrame, key: Key) -> list[dict[str, Any]]:
    """Give the rows of results.csv on the test encounters that a model was scored on."""
    names = [SOURCE, "direct"] if key.strategy == SOURCE else [key.strategy]
    same = (results["embedding"] == key.embedding) & (results["seed"] == key.seed) & (results["sources"] == key.sources)
    rows = results[same & results["strategy"].isin(names) & (results["split"] == "test")]
    if key.target:
        rows = rows[rows["site"] == key.target]
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict(orient="records")]


def _figure(row: dict[str, Any], name: str) -> str:
    ends = [_cell(row.get(f"{name}{end}"), 3) for end in ("_low", "_high")]
    value = _cell(row.get(name), 3)
    return f"{value} ({' to '.join(ends)})" if value and all(ends) else value


def _cell(value: Any, places: int) -> str:
    return "" if value is None or pd.isna(value) else f"{float(value):.{places}f}"


def _settings(model: TrainedModel) -> Iterator[str]:
    embedding = model.embedding
    yield f"Embedding {embedding.name!r}, {embedding.normalisation}; {model.dimension} numbers of a token."
    if model.fingerprint is not None and model.fingerprint.model != "one-hot":
        of = model.fingerprint
        yield f"Table of {of.model}, revision {of.revision}, pooling {of.pooling}."
    yield f"Unknown values: {embedding.unknown}; absent findings: {embedding.shown} (docs/federation-file.md)."
    shape = model.shape
    yield f"One convolution of {shape.filters} filters of width {shape.kernel}, ReLU, maximum over tokens, linear head."
    at = "none was fixed" if model.threshold is None else f"{model.threshold:g}, fixed at the sources"
    yield f"Threshold from which on an encounter is called positive: {at}."
