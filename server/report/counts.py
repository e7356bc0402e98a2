"""Curves from counts of encounters by ranges of probability; no patient's own probability is needed.

Within a range, positives and negatives are taken to lie evenly. So between two points an ROC curve is straight, a
precision-recall curve follows Davis and Goadrich 2006 (ICML, "The relationship between precision-recall and ROC
curves"), and net benefit (Vickers and Elkin 2006, Medical Decision Making 26:565) is exact at the edges of ranges.

Letters: R ranges, G points of a grid, S seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """The counts of one model at one site.

    Attributes
    ----------
    edges : ndarray
        float64 (R + 1,), ascending: range r holds probabilities from ``edges[r]`` on, below ``edges[r + 1]``.
    n, positive : ndarray
        float64 (R,).
    """

    edges: Floats
    n: Floats
    positive: Floats

    @property
    def called(self) -> tuple[Floats, Floats]:
        """True and false positives (R + 1,) of calling positive from each edge on; none from the last."""
        true = np.append(np.cumsum(self.positive[::-1])[::-1], 0.0)
        false = np.append(np.cumsum((self.n - self.positive)[::-1])[::-1], 0.0)
        return true, false

    @property
    def both(self) -> bool:
        """Whether there are positives and negatives, without which there is no curve."""
        return bool(0 < self.positive.sum() < self.n.sum())


def counts_of(rows: pd.DataFrame) -> Counts:
    """Take the counts of one model, seed and site from their rows."""
    rows = rows.sort_values("bin_low")
    edges = np.append(rows["bin_low"].to_numpy(np.float64), rows["bin_high"].iloc[-1])
    return Counts(edges, rows["n"].to_numpy(np.float64), rows["positive"].to_numpy(np.float64))


def roc(counts: Counts, grid: Floats) -> Floats:
    """Give the true positive rate at each false positive rate of the grid (G,)."""
    true, false = counts.called
    return np.asarray(np.interp(grid, false[::-1] / false[0], true[::-1] / true[0]), np.float64)


def precision(counts: Counts, grid: Floats) -> Floats:
    """Give the precision at each recall of the grid (G,); at a recall of 0 that of the highest range."""
    true, false = counts.called
    found = grid * true[0]
    wrong = np.interp(found, true[::-1], false[::-1])
    with np.errstate(invalid="ignore"):
        share = found / (found + wrong)
    highest = np.flatnonzero(counts.positive)[-1]  # the highest range with a positive: where recall begins
    top = counts.positive[highest] / counts.n[highest:].sum()
    return np.asarray(np.where(found > 0, share, top), np.float64)


def net_benefit(counts: Counts, grid: Floats) -> Floats:
    """Give the net benefit for an encounter at each threshold of the grid (G,); NaN within the highest range."""
    true, false = counts.called
    found, wrong = np.interp(grid, counts.edges, true), np.interp(grid, counts.edges, false)
    value = (found - wrong * grid / (1 - grid)) / counts.n.sum()
    return np.asarray(np.where(grid <= counts.edges[-2], value, np.nan), np.float64)


def over_seeds(
    curve: Callable[[Counts, Floats], Floats], several: Sequence[Counts], grid: Floats
) -> tuple[Floats, Floats, Floats]:
    """Give mean, lowest and highest of a curve over seeds, each (G,); NaN where a seed has none."""
    values = np.array([curve(counts, grid) for counts in several])
    return values.mean(axis=0), values.min(axis=0), values.max(axis=0)
