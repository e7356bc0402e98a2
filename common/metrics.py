"""Scores of a binary classifier with stratified bootstrap intervals, all from one pass over sorted probabilities.

Letters: N encounters, R replicates of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Weights = NDArray[np.float32] | NDArray[np.float64]  # replicates in float32, the encounters as they are in float64

_CALIBRATION = ("calibration_intercept", "calibration_slope")
_CHUNK = 500_000  # numbers of a weight matrix held at once


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `low` and `high` are NaN where no interval was asked for."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fit:
    """A logistic regression with few parameters of its own.

    Attributes
    ----------
    design : ndarray
        float64 (parameters, N).
    offset : ndarray
        float64 (N,), added to the linear predictor with no parameter of its own.
    parameters : ndarray
        float64 (parameters,); where Newton's method begins, or where it ended.
    """

    design: Floats
    offset: Floats
    parameters: Floats

    def converged(self, y: Floats) -> Fit:
        """Fit to the encounters as they are; the parameters are NaN where there is no optimum (separable data)."""
        fit = self
        for _ in range(100):
            step = fit.steps(y, np.ones((1, len(y))), 1)[0] - fit.parameters
            # a full step from probabilities that are far off may overshoot without end
            step *= min(1.0, 2 / max(np.abs(step @ fit.design).max(), 1e-300))
            fit = replace(fit, parameters=fit.parameters + step)
            if np.abs(step).max() < 1e-9:
                return fit
        return replace(fit, parameters=np.full_like(fit.parameters, np.nan))

    def steps(self, y: Floats, weights: Weights, count: int = 2) -> Floats:
        """Take Newton steps from `parameters` for each row of weights (R, N); gives (R, parameters).

        From the converged fit, a step or two for each replicate bootstrap the estimator to the order that matters
        (Andrews 2002, Econometrica 70:119). The first is two products of matrices, for all replicates start alike.
        """
        size = len(self.design)
        outer = np.stack([a * b for a in self.design for b in self.design])  # (parameters squared, N)
        fits = self.parameters[None]  # (1, parameters), then (R, parameters)
        for _ in range(count):
            linear = (fits @ self.design + self.offset).astype(weights.dtype)
            mean = 1 / (1 + np.exp(-np.clip(linear, -80, 80)))  # (1, N), then (R, N)
            gradient = (weights * (y.astype(weights.dtype) - mean)) @ self.design.T.astype(weights.dtype)
            hessian = (weights * (mean * (1 - mean))) @ outer.T.astype(weights.dtype)
            square = hessian.astype(np.float64).reshape(-1, size, size) + 1e-9 * np.eye(size)
            fits = fits + np.linalg.solve(square, gradient.astype(np.float64)[:, :, None])[:, :, 0]
        return fits


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
    fits = [fit.converged(y) for fit in _calibrations(p)]
    point = _measure(y, p, np.ones((1, len(y))), threshold)
    point |= {name: fit.parameters[-1:] for name, fit in zip(_CALIBRATION, fits, strict=True)}
    if replicates == 0:
        return {name: Estimate(float(values[0])) for name, values in point.items()}
    draws = []
    for weights in _resample(y, replicates, seed):
        steps = {name: fit.steps(y, weights)[:, -1] for name, fit in zip(_CALIBRATION, fits, strict=True)}
        draws.append(_measure(y, p, weights, threshold) | steps)
    return {
        name: Estimate(float(values[0]), *_interval(np.concatenate([draw[name] for draw in draws])))
        for name, values in point.items()
    }


def auroc(labels: Integers, probabilities: Floats) -> float:
    """Give the area under the ROC curve, or NaN where a class is missing or a probability is not finite."""
    if labels.min() == labels.max() or not np.isfinite(probabilities).all():
        return float("nan")
    order = np.argsort(-probabilities, kind="stable")
    y = labels[order].astype(np.float64)
    return float(_curves(y, np.ones((1, len(y))), _steps(probabilities[order]))["auroc"][0])


def youden_threshold(labels: Integers, probabilities: Floats, decimals: int = 3) -> float:
    """Give the probability where sensitivity + specificity is greatest, rounded, never 0 (Youden 1950, Cancer 3:32)."""
    false, true, thresholds = roc_curve(labels, probabilities)
    best = round(float(min(thresholds[np.argmax(true - false)], 1.0)), decimals)
    return max(best, 10.0**-decimals)


def _interval(values: Floats) -> tuple[float, float]:
    """Give the 2.5 % and 97.5 % quantiles, or NaN where more than a tenth of the replicates have no figure."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _measure(y: Floats, p: Floats, weights: Weights, threshold: float | None) -> dict[str, Floats]:
    """Give the metrics of ranking and error for each row of weights (R, N), how often each encounter counts."""
    figures = _curves(y, weights, _steps(p))
    columns = [np.ones_like(y), (p - y) ** 2, y]
    if threshold is not None:
        called = (p >= threshold).astype(np.float64)
        columns += [called * y, (1 - called) * (1 - y)]
    count, error, positive, *hits = (weights @ np.stack(columns, axis=1)).T
    figures["brier"] = error / count
    if hits:
        figures["sensitivity"], figures["specificity"] = hits[0] / positive, hits[1] / (count - positive)
    return figures


def _steps(p: Floats) -> Integers:
    """Give the last index of every run of equal probabilities, in descending order."""
    return np.append(np.flatnonzero(np.diff(p)), len(p) - 1)


def _curves(y: Floats, weights: Weights, steps: Integers) -> dict[str, Floats]:
    """Give AUROC and average precision, one step of the curve for each run of equal probabilities."""
    true = np.cumsum(weights * y.astype(weights.dtype), axis=1)  # (R, N), whole numbers: exact in float32 below 2^24
    counted = np.cumsum(weights, axis=1)
    if len(steps) < weights.shape[1]:
        true, counted = true[:, steps], counted[:, steps]
    false = counted - true
    rise, run = _rises(true), _rises(false)
    positives, negatives = true[:, -1].astype(np.float64), false[:, -1].astype(np.float64)
    area = np.einsum("ij,ij->i", run, true - rise / 2, dtype=np.float64) / (positives * negatives)
    precision = np.divide(true, counted, out=np.zeros_like(true), where=np.greater(counted, 0))
    return {"auroc": area, "auprc": np.einsum("ij,ij->i", rise, precision, dtype=np.float64) / positives}


def _rises(curve: Weights) -> Weights:
    """Give how much each step of a cumulative curve adds."""
    rises = curve.copy()
    rises[:, 1:] -= curve[:, :-1]
    return rises


def _calibrations(p: Floats) -> list[Fit]:
    """Give the two regressions of calibration: the intercept at slope 1, and the slope."""
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    logit = np.log(clipped / (1 - clipped))
    ones = np.ones_like(logit)
    return [
        Fit(ones[None], logit, np.zeros(1)),
        Fit(np.stack([ones, logit - logit.mean()]), np.zeros_like(logit), np.zeros(2)),
    ]


def _resample(y: Floats, replicates: int, seed: int) -> Iterator[Weights]:
    """Draw how often each encounter counts, (R, N) in chunks, positives and negatives apart."""
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // len(y))
    counts = [min(size, replicates - start) for start in range(0, replicates, size)]
    return (_draw(generator, y, count) for count in counts)


def _draw(generator: np.random.Generator, y: Floats, count: int) -> Weights:
    weights = np.zeros((count, len(y)), dtype=np.float32)
    for label in (0.0, 1.0):
        members = np.flatnonzero(y == label)
        drawn = generator.integers(0, len(members), size=(count, len(members)))
        drawn += np.arange(count)[:, None] * len(members)
        weights[:, members] = np.bincount(drawn.ravel(), minlength=count * len(members)).reshape(count, -1)
    return weights
