"""The figures that a site computes on its own encounters, ready to leave it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from client.questions import score_questions
from client.refusals import DivergedError
from client.scored import GRID, Scored, curve_figures
from client.training import Encounters, Model, probabilities
from common.figures import CURVE, HITS, METRICS
from common.metrics import Floats, Integers, score, youden_threshold
from common.outcome import answers, few, told
from common.seeds import derive
from common.shape import ModelShape
from common.tasks import Work

TWO_CLASSES = ModelShape()


def score_splits(
    model: Model, task: Work, splits: Mapping[str, Encounters], site: str, min_cell: int, prefix: str = ""
) -> Scored:
    """Score a model on the splits that a task names, and choose a threshold where it asks for one."""
    if not task.model.binary:
        return score_questions(model, task, splits, site, min_cell, prefix)
    scored = Scored()
    threshold = task.threshold
    if task.choose_threshold and enough(splits["validation"], min_cell):
        threshold = threshold_of(model, splits["validation"])
        scored.figures["threshold"] = threshold
    asked = set(METRICS) if threshold is not None or task.choose_threshold else set(METRICS).difference(HITS)
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
            labels = splits[split].labels.numpy()
            scored.figures |= curve_figures(split, labels, probabilities(model, splits[split]), min_cell)
    if task.score and threshold is None:  # one that was asked for, and could not be chosen
        scored.suppressed |= asked.intersection(HITS)
    return scored


def enough(encounters: Encounters, min_cell: int, shape: ModelShape = TWO_CLASSES) -> bool:
    """Whether each of two classes has enough patients for a number about it to leave; of more, at least one."""
    return bool(told(answers(shape, encounters.labels.numpy()), min_cell))


def trainable(encounters: Encounters, min_cell: int, shape: ModelShape) -> bool:
    """Whether a model may learn from encounters: whoever has a class or a label is not one of few.

    A class or label that nobody has, or everybody, is no reason against it, as long as there is another to learn.
    """
    yes = answers(shape, encounters.labels.numpy())
    return bool(told(yes, min_cell)) and not few(yes, min_cell)


def figures_of(
    model: Model, encounters: Encounters, threshold: float | None, replicates: int, seed: int, min_cell: int
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
    at = None if threshold is None else round(threshold, GRID)
    estimates = score(labels, scored, at, replicates, seed)
    suppressed = _small(labels, scored, at, min_cell)
    for name in suppressed:
        del estimates[name]
    figures = {"n": float(len(encounters)), "positive": float(labels.sum())}
    for name, estimate in estimates.items():
        figures |= {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return Scored({name: value for name, value in figures.items() if math.isfinite(value)}, set(suppressed))


def threshold_of(model: Model, validation: Encounters) -> float:
    """Choose the probability from which on an encounter is called positive, on validation encounters."""
    return youden_threshold(validation.labels.numpy(), probabilities(model, validation), GRID)


def _small(labels: Integers, scored: Floats, threshold: float | None, min_cell: int) -> list[str]:
    """Name the figures from which a small count could be worked out."""
    if threshold is None:
        return []
    names = []
    for name, label in zip(HITS, (1, 0), strict=True):
        called = scored[labels == label] >= threshold
        right = int((called == bool(label)).sum())
        if 0 < right < min_cell or 0 < len(called) - right < min_cell:
            names.append(name)
    return names
