"""What a run's folder says, as numbers by name: parameters, scores, and series over rounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from common.config import Federation
from common.figures import METRICS
from common.trained import Key
from server.report.course import Training, trainings
from server.report.folder import RunFolder, records

Parameter = str | int | float | bool
Points = dict[int, float]  # round to value

MODEL = ["embedding", "seed", "sources", "strategy", "site"]
_SECTIONS = {"normalisation", "unknown", "absence", "model", "training", "tuning", "aggregation"}
_FIGURES = ["n", "positive", *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")), "threshold"]


@dataclass(frozen=True)
class Scored:
    """How one model does at one site.

    Attributes
    ----------
    name : str
        Of the model and the site, as a file of weights would be named.
    about : dict
        Which model, at which site.
    figures : dict of str to float
        Such as ``test/auroc`` and ``test/auroc_low``; what a site kept back is absent.
    said : str
        Why figures are absent, in the words of results.csv.
    """

    name: str
    about: dict[str, Parameter]
    figures: dict[str, float]
    said: str


def parameters(federation: Federation) -> dict[str, Parameter]:
    """Give the numbers and words by which the run was configured; nothing of its sites' files."""
    content = federation.model_dump(mode="json", exclude_none=True, include=_SECTIONS)
    flat = pd.json_normalize(content, sep=".").to_dict(orient="records")[0]
    return {str(name): value for name, value in flat.items() if isinstance(value, Parameter)}


def scored(run: RunFolder) -> Iterator[Scored]:
    """Give what results.csv says of each model at each site, its splits together."""
    for values, rows in run.results.groupby(MODEL, sort=False):
        embedding, seed, sources, strategy, site = map(str, values)
        key = Key(embedding, int(seed), sources, strategy, site)
        about: dict[str, Parameter] = dict(zip(MODEL, (embedding, key.seed, sources, strategy, site), strict=True))
        figures = {f"{row['split']}/{name}": row[name] for row in records(rows) for name in _FIGURES if name in row}
        words = [f"{row['split']}: {row['note']}" for row in records(rows) if row["note"]]
        words += [f"withheld: {text}" for text in dict.fromkeys(rows["withheld"]) if text]
        known = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
        yield Scored(key.name, about, known, "; ".join(words))


def rounds(run: RunFolder) -> Iterator[tuple[str, dict[str, Points]]]:
    """Give the series of each training over rounds: contributors, encounters, bytes, and scores where noted."""
    found = trainings(run.rounds)
    for training in found:
        own = run.rounds.iloc[training.first : training.last + 1]
        joined = own[(own["contributed"] == "yes") & (own["round"] > 0)].groupby("round")
        scores = {number: score for number, score in enumerate(training.scores, 1) if math.isfinite(score)}
        series = {
            "round/sites": _points(joined.size()),
            "round/encounters": _points(joined["encounters"].sum()),
            "round/validation_auroc": scores,
        }
        if not any(_overlap(training, other) for other in found if other is not training):
            series |= _bytes(run.exchange, training)
        name = Key(training.embedding, training.seed, "+".join(training.sources), f"{training.phase}-rounds").name
        yield name, {tag: points for tag, points in series.items() if points}


def _overlap(one: Training, other: Training) -> bool:
    """Whether exchange.csv cannot tell apart the messages of two trainings: a site has a part in both."""
    same = (one.embedding, one.seed, one.phase) == (other.embedding, other.seed, other.phase)
    return same and bool(set(one.sources) & set(other.sources))


def _bytes(exchange: pd.DataFrame, training: Training) -> dict[str, Points]:
    """Give the bytes of each round, to the sites and back."""
    same = (exchange["embedding"] == training.embedding) & (exchange["seed"] == training.seed)
    same &= (exchange["phase"] == training.phase) & exchange["site"].isin(training.sources) & (exchange["round"] > 0)
    ways = exchange[same].groupby("direction")
    return {f"round/bytes_{way}": _points(rows.groupby("round")["bytes"].sum()) for way, rows in ways}


def _points(values: pd.Series[Any]) -> Points:
    return {int(str(number)): float(value) for number, value in values.items()}
