"""AUROC of one or many models on the same encounters, its variance, and paired differences: DeLong's method.

DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837; from midranks instead of all pairs of encounters as Sun and
Xu 2014, IEEE Signal Processing Letters 21:1389.

Letters: K models, N encounters, of which m positive and n negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from common.metrics import Estimate, Floats, Integers
from common.statistics.checks import positives
from common.statistics.intervals import Scale, from_variance


@dataclass(frozen=True)
class Areas:
    """AUROCs on the same encounters, or weighted sums of them, with all that is needed of their errors.

    Attributes
    ----------
    values : ndarray
        float64 (K,); NaN where a class is missing or a probability is not finite.
    parts : ndarray
        float64 (K, N), what each encounter adds to each error: ``covariance = parts @ parts.T``. NaN where a class
        has fewer than two encounters.
    """

    values: Floats
    parts: Floats

    @property
    def covariance(self) -> Floats:
        """DeLong's covariance matrix, float64 (K, K)."""
        return np.asarray(self.parts @ self.parts.T)

    @property
    def variances(self) -> Floats:
        """Its diagonal, float64 (K,), without the rest."""
        return np.asarray(np.einsum("ij,ij->i", self.parts, self.parts))

    def combined(self, weights: Floats) -> Areas:
        """Give weighted sums of the areas: means, differences, macro averages; weights are float64 (J, K)."""
        return Areas(weights @ self.values, weights @ self.parts)

    def estimates(self, scale: Scale = "logit") -> list[Estimate]:
        """Give each area with its 95 % interval.

        On the logit scale unless asked otherwise: near 1, where models worth having are, the plain interval passes 1
        and covers too little (Qin and Hotilovac 2008, Statistical Methods in Medical Research 17:207).
        """
        pairs = zip(self.values, self.variances, strict=True)
        return [from_variance(float(value), float(variance), scale) for value, variance in pairs]


@dataclass(frozen=True)
class Difference:
    """A paired difference.

    Attributes
    ----------
    value, low, high : float
        Difference with its 95 % interval.
    error : float
        Its standard error.
    z : float
        Value divided by error; 0 for models that rank alike.
    p : float
        Two-sided.
    df : float
        Degrees of freedom of the error, infinite without a spread over seeds.
    """

    value: float
    low: float
    high: float
    error: float
    z: float
    p: float
    df: float = np.inf


def areas(labels: Integers, scores: Floats) -> Areas:
    """Give the AUROC of every model, and what each encounter adds to its error.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    scores : ndarray
        float64 (K, N) or (N,): probabilities, or anything else that is higher for positives.

    Raises
    ------
    ValueError
        The labels are not 0 and 1, or not one for each score.

    Notes
    -----
    A positive's share of negatives below it is its rank among all less its rank among the positives, divided by n;
    equal scores count half, by midranks. The area is the mean share, and the variances over positives and negatives
    of these shares, each divided by its count, add up to DeLong's.
    """
    rows = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = positives(labels, rows)
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return Areas(np.full(len(rows), np.nan), np.full(rows.shape, np.nan))
    if not np.isfinite(rows).all():
        rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, np.nan)
    ranks = rankdata(rows, axis=1)
    above = (ranks[:, positive] - rankdata(rows[:, positive], axis=1)) / n  # (K, m)
    below = 1 - (ranks[:, ~positive] - rankdata(rows[:, ~positive], axis=1)) / m  # (K, n)
    values = above.mean(axis=1)
    parts = np.empty_like(rows)
    with np.errstate(divide="ignore", invalid="ignore"):  # one encounter has no variance
        parts[:, positive] = (above - values[:, None]) / np.sqrt(m * (m - 1.0))
        parts[:, ~positive] = (below - values[:, None]) / np.sqrt(n * (n - 1.0))
    return Areas(values, parts)


def difference(several: Areas, first: int, second: int) -> Difference:
    """Test whether two models have the same AUROC: the first less the second, by DeLong's paired test."""
    parts = several.parts[first] - several.parts[second]
    return judge(float(several.values[first] - several.values[second]), float(parts @ parts))


def judge(value: float, variance: float, df: float = np.inf) -> Difference:
    """Give a difference with interval, z and two-sided p from its variance and that variance's degrees of freedom."""
    error = float(np.sqrt(variance))
    with np.errstate(divide="ignore"):  # without any error a difference is certain
        z = float(np.divide(value, error)) if value != 0 else 0.0
    interval = from_variance(value, variance, "plain", df)
    return Difference(value, interval.low, interval.high, error, z, float(2 * student.sf(abs(z), df)), df)
