"""Figures on their way out of a site, and what stays."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.curve import curve_of
from common.figures import CURVE
from common.metrics import Floats, Integers

GRID = 3  # decimals of a probability that leaves: an exact one would single patients out


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


def curve_figures(stem: str, labels: Integers, probabilities: Floats, min_cell: int) -> dict[str, float]:
    """Count by ranges of probability, at least `min_cell` encounters of each class in each."""
    return {
        f"{stem}.{CURVE}.{number:02d}.{name}": float(value)
        for number, row in enumerate(curve_of(labels, probabilities, min_cell, GRID))
        for name, value in zip(("from", "n", "positive"), row, strict=True)
    }
