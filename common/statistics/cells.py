"""Neighbouring counts put together until none of them tells of a few patients."""

from __future__ import annotations

import numpy as np

from common.metrics import Integers


def few(count: int, min_cell: int) -> bool:
    """Say whether a count must stay home: from 1 to `min_cell` - 1. That there is nobody tells of nobody."""
    return 0 < count < min_cell


def merged(positives: Integers, negatives: Integers, min_cell: int) -> Integers:
    """Put neighbouring bins together.

    Parameters
    ----------
    positives, negatives : ndarray
        int (bins,), encounters of each class.
    min_cell : int
        Fewest encounters of a class in a group; none at all is allowed too.

    Returns
    -------
    ndarray
        int (groups,), the first bin of each group: no group is empty or has a class of 1 to `min_cell` - 1. Empty
        where all bins together are such a group.
    """
    groups: list[tuple[int, int, int]] = []  # first bin, positives, negatives
    start = true = false = 0
    for at, (more_true, more_false) in enumerate(zip(positives.tolist(), negatives.tolist(), strict=True)):
        true, false = true + more_true, false + more_false
        if true + false and not few(true, min_cell) and not few(false, min_cell):
            groups.append((start, true, false))
            start, true, false = at + 1, 0, 0
    while groups and (few(true, min_cell) or few(false, min_cell)):  # what is left over joins the groups before it
        start, more_true, more_false = groups.pop()
        true, false = true + more_true, false + more_false
        if not few(true, min_cell) and not few(false, min_cell):
            groups.append((start, true, false))
            break
    return np.array([start for start, _, _ in groups], dtype=np.int64)
