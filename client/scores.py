"""The figures that a site computes on its own encounters, ready to leave it."""

from __future__ import annotations

import math

from client.training import Encounters, probabilities
from common.metrics import score, youden_threshold
from common.model import ConceptCNN


def figures_of(
    model: ConceptCNN, encounters: Encounters, threshold: float | None, replicates: int, seed: int
) -> dict[str, float]:
    """Score a model: each metric, and with replicates its interval as ``.low`` and ``.high``.

    A figure that does not exist for these encounters (a slope of separable data) is left out.
    """
    estimates = score(encounters.labels.numpy(), probabilities(model, encounters), threshold, replicates, seed)
    figures = {"n": float(len(encounters)), "positive": float(encounters.labels.sum())}
    for name, estimate in estimates.items():
        figures |= {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def threshold_of(model: ConceptCNN, validation: Encounters) -> float:
    """Choose the probability from which on an encounter is called positive, on validation encounters."""
    return youden_threshold(validation.labels.numpy(), probabilities(model, validation))
