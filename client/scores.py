"""The figures that a site computes on its own encounters, ready to leave it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from client.refusals import DivergedError
from client.training import Encounters, probabilities
from common.curve import curve_of
from common.figures import CURVE, METRICS
from common.metrics import Floats, Integers, score, youden_threshold
from common.model import ConceptCNN
from common.seeds import derive
from common.tasks import Work

_HITS = ("sensitivity", "specificity")  # need a threshold
_GRID = 3  # decimals of a threshold: an exact one would single patients out


@dataclass
class Scored:
    """Figures that may leave, and what may not.

    Attributes
    ----------
    figures : dict of str to float
    suppressed : set of str
        Metrics that were asked for, and tell of fewer patients than min-cell.
    """

    figures: dict[str, float] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)


def score_splits(
    model: ConceptCNN, task: Work, splits: Mapping[str, Encounters], site: str, min_cell: int, prefix: str = ""
) -> Scored:
    """Score a model on the splits that a task names, and choose a threshold where it asks for one."""
    scored = Scored()
    threshold = task.threshold
    if task.choose_threshold and enough(splits["validation"], min_cell):
        threshold = threshold_of(model, splits["validation"])
        scored.figures["threshold"] = threshold
    asked = set(METRICS) if threshold is not None or task.choose_threshold else set(METRICS).difference(_HITS)
    for split in task.score:
        if not enough(splits[split], min_cell):
            scored.suppressed |= asked | ({CURVE} if split == "test" else set())
            continue
        seed = derive(task.seed, "bootstrap", site, split)
        replicates = task.intervals if split == "test" else 0  # validation is for choosing, not for reporting
        own = figures_of(model, splits[split], threshold, replicates, seed, min_cell)
        scored.figures |= {f"{prefix}{split}.{name}": value for name, value in own.figures.items()}
        scored.suppressed |= own.suppressed
        if split == "test":
            scored.figures |= _curve(model, splits[split], min_cell)
    if task.score and threshold is None:  # one that was asked for, and could not be chosen
        scored.suppressed |= asked.intersection(_HITS)
    return scored


def enough(encounters: Encounters, min_cell: int) -> bool:
    """Whether each class has enough patients for a number about it to leave."""
    positive = int((encounters.labels == 1).sum())
    return min(positive, len(encounters) - positive) >= min_cell


def figures_of(
    model: ConceptCNN, encounters: Encounters, threshold: float | None, replicates: int, seed: int, min_cell: int
) -> Scored:
    """Score a model: each metric, and with replicates its interval as ``.low`` and ``.high``.

    A figure that does not exist for these encounters (a slope of separable data) is left out. So is a sensitivity
    or specificity behind which 1 to `min_cell` - 1 patients were called wrongly, or rightly; it is suppressed.

    Raises
    ------
    DivergedError
        The model's probabilities are not finite.
    """
    labels, scored = encounters.labels.numpy(), probabilities(model, encounters)
    if not np.isfinite(scored).all():
        raise DivergedError("the model's probabilities are not finite")
    at = None if threshold is None else round(threshold, _GRID)
    estimates = score(labels, scored, at, replicates, seed)
    suppressed = _small(labels, scored, at, min_cell)
    for name in suppressed:
        del estimates[name]
    figures = {"n": float(len(encounters)), "positive": float(labels.sum())}
    for name, estimate in estimates.items():
        figures |= {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return Scored({name: value for name, value in figures.items() if math.isfinite(value)}, set(suppressed))


def _curve(model: ConceptCNN, encounters: Encounters, min_cell: int) -> dict[str, float]:
    """Count by ranges of probability, at least `min_cell` encounters of each class in each."""
    bins = curve_of(encounters.labels.numpy(), probabilities(model, encounters), min_cell, _GRID)
    return {
        f"test.{CURVE}.{number:02d}.{name}": float(value)
        for number, row in enumerate(bins)
        for name, value in zip(("from", "n", "positive"), row, strict=True)
    }


def threshold_of(model: ConceptCNN, validation: Encounters) -> float:
    """Choose the probability from which on an encounter is called positive, on validation encounters."""
    return youden_threshold(validation.labels.numpy(), probabilities(model, validation), _GRID)


def _small(labels: Integers, scored: Floats, threshold: float | None, min_cell: int) -> list[str]:
    """Name the figures from which a small count could be worked out."""
    if threshold is None:
        return []
    names = []
    for name, label in zip(_HITS, (1, 0), strict=True):
        called = scored[labels == label] >= threshold
        right = int((called == bool(label)).sum())
        if 0 < right < min_cell or 0 < len(called) - right < min_cell:
            names.append(name)
    return names
