"""Scores within subgroups (age group, season) that are large enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from common.metrics import Estimate, Floats, Integers, score
from common.statistics.cells import few
from common.statistics.delong import areas

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup:
    """Encounters with one label.

    Attributes
    ----------
    name : str
        The label, or `UNKNOWN`.
    too_few : bool
        Whether a class has fewer than `min_cell` encounters; then nothing else is told.
    encounters, positive : int or None
        Counts; None where they would tell those of a group that has too few.
    scores : dict of str to Estimate
        ``auroc`` with DeLong's interval; ``auprc``, ``brier``, ``calibration_intercept`` and ``calibration_slope``.
    """

    name: str
    too_few: bool
    encounters: int | None = None
    positive: int | None = None
    scores: dict[str, Estimate] = field(default_factory=dict)


def by_subgroup(
    labels: Integers,
    probabilities: Floats,
    groups: Sequence[object],
    min_cell: int = 11,
    replicates: int = 0,
    seed: int = 0,
) -> list[Subgroup]:
    """Score each subgroup, in the order of the names.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    probabilities : ndarray
        float64 (N,), of being positive.
    groups : sequence of object
        (N,) labels of subgroups; None and NaN are `UNKNOWN`.
    min_cell : int
        Fewest encounters of each class. Where all groups that have too few together still have 1 to `min_cell` - 1
        positives or negatives, no group's counts are given: a total less the others would tell them.
    replicates, seed : int
        Of the bootstrap of all but the AUROC, as for `common.metrics.score`.
    """
    series = pd.Series(list(groups), dtype=object)
    names = np.where(series.isna(), UNKNOWN, series.astype(str))
    found, rest = [], [0, 0]  # rest: negatives and positives of those that have too few
    for name in sorted(set(names.tolist())):
        y, p = labels[names == name], probabilities[names == name]
        positive = int(y.sum())
        if min(positive, len(y) - positive) < max(min_cell, 1):
            found.append(Subgroup(name, True))
            rest = [rest[0] + len(y) - positive, rest[1] + positive]
            continue
        scores = score(y, p, None, replicates, seed) | {"auroc": areas(y, p).estimates()[0]}
        found.append(Subgroup(name, False, len(y), positive, scores))
    if few(rest[0], min_cell) or few(rest[1], min_cell):
        return [replace(group, encounters=None, positive=None) for group in found]
    return found
