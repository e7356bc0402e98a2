"""Intervals of 95 %: from a variance, for a share, and by bootstrap for everything else.

`common.metrics.score` bootstraps AUROC, AUPRC, Brier score and calibration in one pass; `bootstrap` here is for any
other statistic: a difference of two AUPRCs, a macro average, a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from common.metrics import Estimate, Floats, Integers

Scale = Literal["logit", "plain"]

_HALF = 0.975


@dataclass(frozen=True)
class Band:
    """A statistic with its pointwise 95 % interval.

    Attributes
    ----------
    value, low, high : ndarray
        float64, of the statistic's shape; the interval is NaN where more than a tenth of the replicates have no figure.
    """

    value: Floats
    low: Floats
    high: Floats


def from_variance(value: float, variance: float, scale: Scale = "plain", df: float = np.inf) -> Estimate:
    """Give value and interval from a variance.

    Parameters
    ----------
    value : float
        Of an estimator that is close to normal.
    variance : float
        Its variance; NaN gives no interval.
    scale : {"logit", "plain"}
        "logit" works on ``log(v / (1 - v))``, whose error is that of v divided by ``v (1 - v)`` (delta method), and
        never leaves 0 to 1. At a value of 0 or 1 it gives no interval: there the variance says 0, which is not so.
    df : float
        Degrees of freedom of the variance, for Student's quantile.
    """
    if scale == "logit" and not 0 < value < 1:
        return Estimate(value)
    reach = float(student.ppf(_HALF, df)) * np.sqrt(variance)
    if scale == "plain":
        return Estimate(value, float(value - reach), float(value + reach))
    centre, reach = np.log(value / (1 - value)), reach / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.array([centre - reach, centre + reach])))
    return Estimate(value, float(low), float(high))


def wilson(successes: NDArray[Any], counts: NDArray[Any]) -> Band:
    """Give shares with Wilson's score interval, without continuity correction; NaN where a count is 0.

    Parameters
    ----------
    successes, counts : ndarray
        Whole numbers of one shape.

    Notes
    -----
    Wilson 1927, JASA 22:209, as method 3 of Newcombe 1998, Statistics in Medicine 17:857.
    """
    z = float(student.ppf(_HALF, np.inf))
    n = np.where(np.asarray(counts) > 0, counts, np.nan).astype(np.float64)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Band(share, np.clip(centre - reach, 0, 1), np.clip(centre + reach, 0, 1))


def bootstrap(
    statistic: Callable[[Integers], float | Floats], strata: NDArray[Any], replicates: int = 1000, seed: int = 0
) -> Band:
    """Give a statistic with percentile intervals, drawing with replacement within each stratum.

    Parameters
    ----------
    statistic : callable
        Takes indices of encounters, int64 (N,), and gives a number or an array of one shape; NaN where there is none.
        Scores of several models indexed alike stay paired.
    strata : ndarray
        (N,) labels; each one's count is the same in every replicate. Equal values bootstrap without strata.
    replicates : int
        R.
    seed : int
        Of the draws.

    Notes
    -----
    Percentile intervals, as Efron and Tibshirani 1993, chapter 13. Encounters are drawn one by one: where a patient
    has several, intervals are too narrow.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    draws = np.array(
        [statistic(np.concatenate([generator.choice(each, len(each)) for each in members])) for _ in range(replicates)],
        dtype=np.float64,
    )
    value = np.asarray(statistic(np.arange(len(strata))), dtype=np.float64)
    known = np.isfinite(draws).sum(axis=0) >= 0.9 * replicates  # of the statistic's shape
    draws = np.where(known, np.where(np.isfinite(draws), draws, np.nan), 0.0)  # quantiles of nothing would warn
    low, high = np.nanquantile(draws, [1 - _HALF, _HALF], axis=0)
    return Band(value, np.where(known, low, np.nan), np.where(known, high, np.nan))
