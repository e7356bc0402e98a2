"""More than two classes, or several labels at once: each against the rest, and their macro averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score

from common.metrics import Estimate, Floats, Integers
from common.statistics.delong import Areas, areas


@dataclass(frozen=True)
class Macro:
    """Scores of C classes or labels, and their plain means.

    Attributes
    ----------
    auroc : Areas
        A row for each class; NaN for one that everybody or nobody has.
    auprc : ndarray
        float64 (C,), average precision; NaN likewise.
    """

    auroc: Areas
    auprc: Floats

    @property
    def known(self) -> Integers:
        """Positions of the classes that have both positives and negatives; the rest is in no mean."""
        return np.flatnonzero(~np.isnan(self.auprc))

    @property
    def area(self) -> Areas:
        """The macro AUROC as one row, to be compared between models as any AUROC.

        What an encounter adds to the error of the mean is the mean of what it adds to each class's, so the classes'
        covariance is in it. Encounters are taken as drawn with their labels: counts of classes may vary.
        """
        chosen = Areas(self.auroc.values[self.known], self.auroc.parts[self.known])
        return chosen.combined(np.full((1, len(self.known)), 1 / max(1, len(self.known))))

    @property
    def macro_auroc(self) -> Estimate:
        """Mean AUROC over the known classes with its 95 % interval; NaN where there are none."""
        return self.area.estimates()[0] if len(self.known) else Estimate(float("nan"))

    @property
    def macro_auprc(self) -> float:
        """Mean average precision over the known classes; for an interval see `intervals.bootstrap`."""
        return float(self.auprc[self.known].mean()) if len(self.known) else float("nan")


def several_labels(labels: Integers, probabilities: Floats) -> Macro:
    """Score several labels at once.

    Parameters
    ----------
    labels : ndarray
        int (N, C), 1 where an encounter has the label and 0 where it has not.
    probabilities : ndarray
        float64 (N, C), of having each.

    Raises
    ------
    ValueError
        The shapes differ, or the labels are not 0 and 1.
    """
    if labels.shape != probabilities.shape:
        raise ValueError(f"labels of shape {labels.shape} and probabilities of shape {probabilities.shape}")
    rows = [areas(y, p) for y, p in zip(labels.T, probabilities.T, strict=True)]
    auroc = Areas(np.concatenate([row.values for row in rows]), np.concatenate([row.parts for row in rows]))
    precision = [
        average_precision_score(y, p) if np.isfinite(value) else np.nan
        for y, p, value in zip(labels.T, probabilities.T, auroc.values, strict=True)
    ]
    return Macro(auroc, np.array(precision, dtype=np.float64))


def one_against_rest(labels: Integers, probabilities: Floats) -> Macro:
    """Score C classes, each against the rest.

    Parameters
    ----------
    labels : ndarray
        int (N,), the class of each encounter, from 0 to C - 1.
    probabilities : ndarray
        float64 (N, C), of each class.
    """
    return several_labels((labels[:, None] == np.arange(probabilities.shape[1])).astype(np.int64), probabilities)


def macro_areas(labels: Integers, probabilities: Floats) -> Areas:
    """Give the macro AUROC of K models on the same encounters, a row to each: `Macro.area` of many.

    Parameters
    ----------
    labels : ndarray
        int (N, C), 1 where an encounter has the class or label and 0 where it has not.
    probabilities : ndarray
        float64 (K, N, C), of having each.

    Raises
    ------
    ValueError
        As `delong.areas`.
    """
    each = [areas(y, probabilities[:, :, c]) for c, y in enumerate(labels.T) if y.min() < y.max()]
    if not each:
        return Areas(np.full(len(probabilities), np.nan), np.full(probabilities.shape[:2], np.nan))
    return Areas(np.mean([one.values for one in each], axis=0), np.mean([one.parts for one in each], axis=0))
