"""Scores of a binary classifier with stratified bootstrap intervals, all from one pass over sorted probabilities.

Letters: N encounters, R replicates of the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

METRICS = (
    "auroc",
    "auprc",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "sensitivity",
    "specificity",
)
_CHUNK = 2_000_000  # numbers of a weight matrix held at once


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `low` and `high` are NaN where no interval was asked for."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fit:
    """A logistic regression with few parameters, fitted for many weightings of the same encounters at once.

    Attributes
    ----------
    design : ndarray
        float64 (parameters, N).
    offset : ndarray
        float64 (N,), added to the linear predictor with no parameter of its own.
    start : ndarray
        float64 (1, parameters), where Newton's method begins.
    tolerance : float
        Largest last step; the error is of its square's order.
    """

    design: Floats
    offset: Floats
    start: Floats
    tolerance: float = 1e-7

    def run(self, y: Floats, weights: Floats) -> Floats:
        """Give the parameters (R, parameters) for weights (R, N); NaN where there is no convergence (separable)."""
        size = len(self.design)
        outer = np.stack([a * b for a in self.design for b in self.design]).T  # (N, parameters squared)
        fit = np.repeat(self.start, len(weights), axis=0)
        for _ in range(30):
            mean = 1 / (1 + np.exp(-np.clip(fit @ self.design + self.offset, -500, 500)))  # (R, N)
            gradient = (weights * (y - mean)) @ self.design.T
            hessian = ((weights * mean * (1 - mean)) @ outer).reshape(-1, size, size) + 1e-9 * np.eye(size)
            step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
            fit += step
            if np.abs(step).max() < self.tolerance:
                return fit
        fit[np.abs(step).max(axis=1) > 1e-4] = np.nan
        return fit


def score(
    labels: Integers, probabilities: Floats, threshold: float | None, replicates: int = 0, seed: int = 0
) -> dict[str, Estimate]:
    """Score probabilities against labels.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive; both classes must occur.
    probabilities : ndarray
        float64 (N,), of being positive.
    threshold : float or None
        Probability from which on an encounter is called positive; without one there is no sensitivity and specificity.
    replicates : int
        R, of a bootstrap that resamples positives and negatives apart; 0 gives no intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        Of `METRICS`. Intervals are the 2.5 % and 97.5 % quantiles over the replicates.

    Notes
    -----
    AUROC and AUPRC (average precision) treat equal probabilities as one step, as scikit-learn does. The calibration
    slope is b of ``logit P(y) = a + b logit p``; the intercept is a where b is held at 1 (Van Calster et al. 2019,
    BMC Medicine 17:230).
    """
    order = np.argsort(-probabilities, kind="stable")
    y, p = labels[order].astype(np.float64), probabilities[order]
    fits = _calibrations(y, p)
    point = _measure(y, p, np.ones((1, len(y))), threshold, fits)
    if replicates == 0:
        return {name: Estimate(float(values[0])) for name, values in point.items()}
    near = [Fit(fit.design, fit.offset, fit.run(y, np.ones((1, len(y)))), 1e-3) for fit in fits]  # few steps from there
    draws = [_measure(y, p, weights, threshold, near) for weights in _resample(y, replicates, seed)]
    estimates = {}
    for name, values in point.items():
        estimates[name] = Estimate(float(values[0]), *_interval(np.concatenate([draw[name] for draw in draws])))
    return estimates


def auroc(labels: Integers, probabilities: Floats) -> float:
    """Give the area under the ROC curve, or NaN where a class is missing."""
    if labels.min() == labels.max():
        return float("nan")
    order = np.argsort(-probabilities, kind="stable")
    y = labels[order].astype(np.float64)
    return float(_curves(y, np.ones((1, len(y))), _steps(probabilities[order]))["auroc"][0])


def youden_threshold(labels: Integers, probabilities: Floats) -> float:
    """Give the probability at which sensitivity + specificity is greatest, rounded to two decimals.

    Rounded because an exact threshold would be the score of one patient (Youden 1950, Cancer 3:32).
    """
    false, true, thresholds = roc_curve(labels, probabilities)
    return round(float(min(thresholds[np.argmax(true - false)], 1.0)), 2)


def _interval(values: Floats) -> tuple[float, float]:
    """Give the 2.5 % and 97.5 % quantiles, or NaN where more than a tenth of the replicates have no figure."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _measure(y: Floats, p: Floats, weights: Floats, threshold: float | None, fits: list[Fit]) -> dict[str, Floats]:
    """Give every metric for each row of weights (R, N), how often each encounter counts."""
    figures = _curves(y, weights, _steps(p))
    figures["brier"] = weights @ (p - y) ** 2 / weights.sum(axis=1)
    figures["calibration_intercept"], figures["calibration_slope"] = (fit.run(y, weights)[:, -1] for fit in fits)
    if threshold is not None:
        called = (p >= threshold).astype(np.float64)
        figures["sensitivity"] = weights @ (called * y) / (weights @ y)
        figures["specificity"] = weights @ ((1 - called) * (1 - y)) / (weights @ (1 - y))
    return figures


def _steps(p: Floats) -> Integers:
    """Give the last index of every run of equal probabilities, in descending order."""
    return np.append(np.flatnonzero(np.diff(p)), len(p) - 1)


def _curves(y: Floats, weights: Floats, steps: Integers) -> dict[str, Floats]:
    """Give AUROC and average precision, one step of the curve for each run of equal probabilities."""
    true = np.cumsum(weights * y, axis=1)[:, steps]  # (R, steps)
    false = np.cumsum(weights * (1 - y), axis=1)[:, steps]
    positives, negatives = true[:, -1:], false[:, -1:]
    rise = np.diff(true, axis=1, prepend=0)
    run = np.diff(false, axis=1, prepend=0)
    area = (run * (true - rise / 2)).sum(axis=1) / (positives * negatives)[:, 0]
    counted = true + false
    precision = np.divide(true, counted, out=np.zeros_like(true), where=counted > 0)
    return {"auroc": area, "auprc": (rise * precision).sum(axis=1) / positives[:, 0]}


def _calibrations(y: Floats, p: Floats) -> list[Fit]:
    """Give the two regressions of calibration: the intercept at slope 1, and the slope."""
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    logit = np.log(clipped / (1 - clipped))
    ones = np.ones_like(logit)
    return [
        Fit(ones[None], logit, np.zeros((1, 1))),
        Fit(np.stack([ones, logit]), np.zeros_like(logit), np.array([[0.0, 1.0]])),
    ]


def _resample(y: Floats, replicates: int, seed: int) -> list[Floats]:
    """Draw how often each encounter counts, (R, N) in chunks, positives and negatives apart."""
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // len(y))
    counts = [min(size, replicates - start) for start in range(0, replicates, size)]
    return [_draw(generator, y, count) for count in counts]


def _draw(generator: np.random.Generator, y: Floats, count: int) -> Floats:
    weights = np.zeros((count, len(y)))
    for label in (0.0, 1.0):
        members = np.flatnonzero(y == label)
        drawn = generator.integers(0, len(members), size=(count, len(members)))
        drawn += np.arange(count)[:, None] * len(members)
        weights[:, members] = np.bincount(drawn.ravel(), minlength=count * len(members)).reshape(count, -1)
    return weights
