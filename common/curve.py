"""A model's probabilities as counts that may leave a site: enough for ROC, calibration and decision curves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 20  # at most


class Bin(NamedTuple):
    """Encounters whose probability is at least `low`, and below that of the next bin."""

    low: float
    n: int
    positive: int


def curve_of(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], min_cell: int, decimals: int = 3
) -> list[Bin]:
    """Count encounters and positives by ranges of probability.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive; at least `min_cell` of each class.
    probabilities : ndarray
        float64 (N,), of being positive; finite.
    min_cell : int
        Fewest positives, and fewest negatives, of a bin: a bin without either would tell everybody's label.
    decimals : int
        To which probabilities are rounded: an exact edge would single a patient out.

    Returns
    -------
    list of Bin
        At most `BINS`, of about as many encounters each, from the lowest probability up. The first begins at 0.
    """
    values, place = np.unique(np.round(probabilities, decimals), return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    positives = np.bincount(place, weights=labels, minlength=len(values)).astype(np.int64)
    fewest = len(labels) / BINS
    bins: list[Bin] = []
    low, n, positive = 0.0, 0, 0
    for value, count, more in zip(values.tolist(), counts.tolist(), positives.tolist(), strict=True):
        if n >= fewest and min(positive, n - positive) >= min_cell:
            bins.append(Bin(low, n, positive))
            low, n, positive = value, 0, 0
        n, positive = n + count, positive + more
    return [*bins, Bin(low, n, positive)] if min(positive, n - positive) >= min_cell else _into_last(bins, n, positive)


def _into_last(bins: list[Bin], n: int, positive: int) -> list[Bin]:
    """Add what is left over, too few for a bin of its own, to the last one."""
    if not bins:
        return []
    *rest, last = bins
    return [*rest, Bin(last.low, last.n + n, last.positive + positive)]
