"""What deciding by a model is worth: net benefit over thresholds, and error rates at one threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.metrics import Estimate, Floats, Integers
from common.statistics.cells import few, merged
from common.statistics.checks import check
from common.statistics.intervals import wilson


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit for each encounter, in true positives; treating nobody has 0.

    Attributes
    ----------
    thresholds : ndarray
        float64 (T,), ascending.
    model, treat_all : ndarray
        float64 (T,).
    prevalence : float
        Share of positives: the most that any model can reach. Divided by it, the curves are standardised (Kerr et al.
        2016, Journal of Clinical Oncology 34:2534).
    """

    thresholds: Floats
    model: Floats
    treat_all: Floats
    prevalence: float


def net_benefit(true: Integers, false: Integers, count: int, thresholds: Floats) -> Floats:
    """Give ``TP / N - FP / N * t / (1 - t)`` (Vickers and Elkin 2006, Medical Decision Making 26:565).

    Parameters
    ----------
    true, false : ndarray
        int (T,), positives and negatives that are treated at each threshold.
    count : int
        N, all encounters.
    thresholds : ndarray
        float64 (T,), above 0 and below 1: the probability from which on treating is worth it.
    """
    return np.asarray((true - false * (thresholds / (1 - thresholds))) / count, dtype=np.float64)


def decision_curve(labels: Integers, probabilities: Floats, thresholds: Floats, min_cell: int = 1) -> DecisionCurve:
    """Give the net benefit of treating from each threshold on.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    probabilities : ndarray
        float64 (N,), of being positive; treated where not below the threshold.
    thresholds : ndarray
        float64 (T,), ascending, above 0 and below 1.
    min_cell : int
        With more than 1, thresholds between which 1 to `min_cell` - 1 positives or negatives lie are left out, so
        that no difference along the curve tells of them; without a prevalence where there are so few in all.

    Raises
    ------
    ValueError
        The thresholds do not ascend or are not between 0 and 1, the labels are not 0 and 1, or the probabilities not
        from 0 to 1.
    """
    if not ((thresholds > 0) & (thresholds < 1)).all() or (np.diff(thresholds) <= 0).any():
        raise ValueError("thresholds that do not ascend between 0 and 1")
    check(labels, probabilities)
    where = np.searchsorted(thresholds, probabilities, side="right")  # how many thresholds are reached
    positives, negatives = (np.bincount(where[labels == c], minlength=len(thresholds) + 1) for c in (1, 0))
    kept = np.arange(len(thresholds)) if min_cell <= 1 else merged(positives, negatives, min_cell)[1:] - 1
    true, false = (each[::-1].cumsum()[::-1][1:][kept] for each in (positives, negatives))
    t, everyone = thresholds[kept], np.ones(len(kept), dtype=np.int64)
    told = not few(int(positives.sum()), min_cell) and not few(int(negatives.sum()), min_cell)
    prevalence = float(positives.sum()) / len(labels) if told else float("nan")
    treat_all = net_benefit(everyone * positives.sum(), everyone * negatives.sum(), len(labels), t)
    return DecisionCurve(t, net_benefit(true, false, len(labels), t), treat_all, prevalence)


def rates(labels: Integers, probabilities: Floats, threshold: float, min_cell: int = 1) -> dict[str, Estimate]:
    """Give sensitivity, specificity, and predictive values at a threshold that was fixed on other encounters.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    probabilities : ndarray
        float64 (N,), of being positive.
    threshold : float
        Probability from which on an encounter is called positive. Chosen on these encounters, the rates would flatter
        and the intervals would be too narrow.
    min_cell : int
        A rate behind which 1 to `min_cell` - 1 encounters were called rightly or wrongly is left out.

    Returns
    -------
    dict of str to Estimate
        ``sensitivity``, ``specificity``, ``ppv``, ``npv``, with Wilson's intervals; NaN where nobody is concerned.

    Raises
    ------
    ValueError
        The labels are not 0 and 1, or the probabilities not from 0 to 1.
    """
    check(labels, probabilities)
    called, positive = probabilities >= threshold, labels == 1
    true, missed = int((called & positive).sum()), int((~called & positive).sum())
    false, cleared = int((called & ~positive).sum()), int((~called & ~positive).sum())
    shares = {
        "sensitivity": (true, missed),
        "specificity": (cleared, false),
        "ppv": (true, false),
        "npv": (cleared, missed),
    }
    return {
        name: _share(right, wrong)
        for name, (right, wrong) in shares.items()
        if not few(right, min_cell) and not few(wrong, min_cell)
    }


def _share(right: int, wrong: int) -> Estimate:
    band = wilson(np.array(right), np.array(right + wrong))
    return Estimate(float(band.value), float(band.low), float(band.high))
