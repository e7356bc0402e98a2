"""The figures that a site computes on its own encounters, ready to leave it."""

from __future__ import annotations

import math

import numpy as np

from client.training import Encounters, probabilities
from common.errors import SitebridgeError
from common.metrics import Floats, Integers, score, youden_threshold
from common.model import ConceptCNN

_GRID = 3  # decimals of a threshold: an exact one would single patients out


class DivergedError(SitebridgeError):
    """A model's numbers are not finite."""


def figures_of(
    model: ConceptCNN, encounters: Encounters, threshold: float | None, replicates: int, seed: int, min_cell: int
) -> dict[str, float]:
    """Score a model: each metric, and with replicates its interval as ``.low`` and ``.high``.

    A figure that does not exist for these encounters (a slope of separable data) is left out, and so is a sensitivity
    or specificity behind which 1 to `min_cell` - 1 patients were called wrongly, or rightly.

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
    for name in _small(labels, scored, at, min_cell):
        del estimates[name]
    figures = {"n": float(len(encounters)), "positive": float(labels.sum())}
    for name, estimate in estimates.items():
        figures |= {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def threshold_of(model: ConceptCNN, validation: Encounters) -> float:
    """Choose the probability from which on an encounter is called positive, on validation encounters."""
    return youden_threshold(validation.labels.numpy(), probabilities(model, validation), _GRID)


def _small(labels: Integers, scored: Floats, threshold: float | None, min_cell: int) -> list[str]:
    """Name the figures from which a small count could be worked out."""
    if threshold is None:
        return []
    names = []
    for name, label in (("sensitivity", 1), ("specificity", 0)):
        called = scored[labels == label] >= threshold
        right = int((called == bool(label)).sum())
        if 0 < right < min_cell or 0 < len(called) - right < min_cell:
            names.append(name)
    return names
