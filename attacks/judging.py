"""How well an attack tells yes from no: AUC, and the true positive rate at few false positives, with intervals.

Low false positive rates are what counts: an attack that is sure of a few patients harms those few, whatever it says of
the rest (Carlini et al. 2022, arXiv 2112.03570, section III).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.metrics import Estimate, Floats

FALSE = 0.001  # false positive rate
REPLICATES = 200


@dataclass(frozen=True)
class Power:
    """What an attack can do, first as measured and then in each replicate of a bootstrap.

    Attributes
    ----------
    auc, tpr : ndarray
        float64 (1 + R,); NaN where nobody, or everybody, is a yes.
    """

    auc: Floats
    tpr: Floats


def power(
    scores: Floats, positive: NDArray[np.bool_], counted: NDArray[np.bool_], seed: int, replicates: int = REPLICATES
) -> Power:
    """Judge scores of encounters under several models, all models' together.

    Parameters
    ----------
    scores : ndarray
        float64 (M, N), higher where the attack would rather say yes.
    positive : ndarray
        bool (M, N), what is true.
    counted : ndarray
        bool (M, N), false for pairs that are left out.
    seed : int
        Of the bootstrap; attacks of one shape and seed are judged on the same replicates, so that they can be
        subtracted.

    Notes
    -----
    Models and encounters are drawn anew, both with replacement, and a pair counts as often as its model times its
    encounter: the pigeonhole bootstrap, which covers both and errs on the wide side (Owen 2007, Annals of Applied
    Statistics 1:386).
    """
    rows, columns = np.nonzero(counted)
    order = np.argsort(-scores[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    yes = positive[rows, columns]
    ends = np.append(np.flatnonzero(np.diff(scores[rows, columns])), len(rows) - 1)  # of runs of equal scores
    found = [_curve(weights, yes, ends) for weights in _draws(rows, columns, counted.shape, seed, replicates)]
    auc, tpr = zip(*found, strict=True)
    return Power(np.array(auc), np.array(tpr))


def estimate(values: Floats) -> Estimate:
    """Give a figure and the 2.5 % and 97.5 % quantiles of its replicates."""
    known = values[1:][np.isfinite(values[1:])]
    if len(known) < 0.9 * (len(values) - 1):
        return Estimate(float(values[0]))
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))


def _draws(
    rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, ...], seed: int, replicates: int
) -> Iterator[Floats]:
    """Give how often each pair counts: once, then as often as drawn."""
    generator = np.random.default_rng(seed)
    yield np.ones(len(rows))
    for _ in range(replicates):
        models, encounters = (np.bincount(generator.integers(0, n, n), minlength=n).astype(float) for n in shape)
        yield models[rows] * encounters[columns]


def _curve(weights: Floats, yes: NDArray[np.bool_], ends: NDArray[np.intp]) -> tuple[float, float]:
    """Give AUC and true positive rate, from weights of pairs in descending order of score."""
    true, false = np.cumsum(weights * yes)[ends], np.cumsum(weights * ~yes)[ends]
    if true[-1] == 0 or false[-1] == 0:
        return float("nan"), float("nan")
    true, false = true / true[-1], false / false[-1]
    area = np.sum(np.diff(false, prepend=0.0) * (true + np.append(0.0, true[:-1])) / 2)
    allowed = true[false <= FALSE * (1 + 1e-9)]
    return float(area), float(allowed[-1]) if len(allowed) else 0.0
