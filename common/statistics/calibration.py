"""Whether probabilities are what they say: reliability curve, expected calibration error, and recalibration.

Calibration intercept and slope, with intervals, are in `common.metrics.score`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.metrics import Fit, Floats, Integers
from common.statistics.cells import merged
from common.statistics.checks import check
from common.statistics.intervals import Band, wilson

Binning = Literal["count", "width"]

_CLIP = 1e-7  # as far as a probability is trusted, as in `common.metrics`


@dataclass(frozen=True)
class Reliability:
    """A reliability curve.

    Attributes
    ----------
    counts, positives : ndarray
        int64 (bins,), encounters, and those that are positive; in ascending order of probability.
    predicted : ndarray
        float64 (bins,), mean probability.
    observed : Band
        (bins,) shares of positives with Wilson's interval.
    """

    counts: Integers
    positives: Integers
    predicted: Floats
    observed: Band


def reliability(
    labels: Integers, probabilities: Floats, bins: int = 10, by: Binning = "count", min_cell: int = 1
) -> Reliability:
    """Give observed against predicted shares of positives.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    probabilities : ndarray
        float64 (N,), of being positive.
    bins : int
        Bins before empty and small ones are put together with their neighbours.
    by : {"count", "width"}
        Bins of the same number of encounters, where equal probabilities stay together, or of the same width. By count
        unless asked otherwise: where few are positive, most bins of one width hold nearly nobody.
    min_cell : int
        Fewest positives, and negatives, in a bin; none at all is allowed. Where all encounters together have too few,
        the curve is empty. Edges are not given: by count, each would be one patient's probability.

    Raises
    ------
    ValueError
        The labels are not 0 and 1, or the probabilities not from 0 to 1; so with every function here.
    """
    counts, positives, sums = _binned(labels, probabilities, bins, by)
    starts = merged(positives, counts - positives, min_cell)
    if len(starts) == 0:
        counts, positives, sums = counts[:0], positives[:0], sums[:0]
    else:
        counts, positives, sums = (np.add.reduceat(each, starts) for each in (counts, positives, sums))
    return Reliability(counts, positives, sums / counts, wilson(positives, counts))


def calibration_error(labels: Integers, probabilities: Floats, bins: int = 10, by: Binning = "count") -> float:
    """Give the expected calibration error: the mean distance of predicted from observed shares, weighted by count.

    By count unless asked otherwise, as for `reliability`; by width it is that of Naeini et al. 2015 (AAAI 29:2901)
    for the probability of being positive. It is above 0 for a perfect model too, the more so the more bins and the
    fewer encounters.
    """
    counts, positives, sums = _binned(labels, probabilities, bins, by)
    return float(np.abs(sums - positives).sum() / counts.sum())


@dataclass(frozen=True)
class Recalibration:
    """Turns probabilities p into those whose logit is ``intercept + slope logit p``."""

    intercept: float
    slope: float = 1.0

    def apply(self, probabilities: Floats) -> Floats:
        """Recalibrate probabilities, float64 of any shape."""
        return np.asarray(1 / (1 + np.exp(-(self.intercept + self.slope * _logit(probabilities)))))


def recalibrate(labels: Integers, probabilities: Floats, slope: bool = False) -> Recalibration | None:
    """Fit a recalibration by maximum likelihood.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    probabilities : ndarray
        float64 (N,), of being positive.
    slope : bool
        Whether to fit a slope beside the intercept.

    Returns
    -------
    Recalibration or None
        None where the likelihood has no maximum: one class, probabilities that separate the classes, or with a slope
        all probabilities equal.

    Notes
    -----
    Methods 2 and 3 of Steyerberg et al. 2004, Statistics in Medicine 23:2567; with a slope it is Platt scaling.
    """
    check(labels, probabilities)
    logit, y = _logit(probabilities), labels.astype(np.float64)
    ones = np.ones_like(logit)
    if labels.min() == labels.max() or (slope and np.ptp(logit) == 0):
        return None
    if not slope:
        fitted = Fit(ones[None], logit, np.zeros(1)).converged(y).parameters
        return Recalibration(float(fitted[0])) if np.isfinite(fitted).all() else None
    centre = logit.mean()
    fitted = Fit(np.stack([ones, logit - centre]), np.zeros_like(logit), np.zeros(2)).converged(y).parameters
    return Recalibration(float(fitted[0] - fitted[1] * centre), float(fitted[1])) if np.isfinite(fitted).all() else None


def _logit(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _binned(labels: Integers, probabilities: Floats, bins: int, by: Binning) -> tuple[Integers, Integers, Floats]:
    """Give count, positives and sum of probabilities of each bin, edges to the left, as scikit-learn bins."""
    check(labels, probabilities)
    shares = np.linspace(0, 1, bins + 1)
    edges = shares if by == "width" else np.quantile(probabilities, shares)
    where = np.searchsorted(edges[1:-1], probabilities)
    counts, positives = (np.bincount(each, minlength=bins).astype(np.int64) for each in (where, where[labels == 1]))
    sums = np.bincount(where, weights=probabilities, minlength=bins).astype(np.float64)
    return counts, positives, sums
