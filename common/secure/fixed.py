"""Sums in fixed point: the same bits in every order, and an error that can be stated.

A site gives n d, n and its validation score, n its encounters and d the change of its weights, each as a whole number
of 2 ** -26, modulo 2 ** 64. Bounds make sure that no sum of at most 100 sites leaves the range of int64, so that
"modulo" never happens to the sum itself: 100 * 2 ** (24 + 6 + 26) < 2 ** 63.

The mean change differs from the exact one by at most S * 2 ** -27 / N for S sites with N encounters in all, thus by at
most 2 ** -27, and by what float64 rounds, a part in 2 ** 52.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import WireError
from common.secure.crypto import Words

MASKED = "masked"  # the name under which the array travels
EXTRA = 3  # numbers after the weights: encounters, scored encounters, score times scored encounters
MOST_ENCOUNTERS = 2**24
MOST_CHANGE = 64.0

_ONE = 2.0**26

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Update:
    """What a site gives to a sum.

    Attributes
    ----------
    change : ndarray
        float64 (P,), how the weights moved.
    encounters : float
        How much the site weighs.
    score : float
        The validation score of the model that came.
    scored : float
        On how many encounters; 0 where there is none.
    """

    change: Floats
    encounters: float
    score: float = 0.0
    scored: float = 0.0


class OutOfRangeError(WireError):
    """A number that no secure sum has room for."""


def encode(update: Update) -> Words:
    """Write an update in fixed point, uint64 (P + 3,).

    Raises
    ------
    OutOfRangeError
        A number is out of its range. Says which.
    """
    most = float(np.abs(update.change).max(initial=0.0))
    if not most <= MOST_CHANGE:
        raise OutOfRangeError(f"a weight moved by {most:.3g}; in a secure sum at most {MOST_CHANGE:g}")
    if not 1 <= update.encounters <= MOST_ENCOUNTERS or not 0 <= update.scored <= MOST_ENCOUNTERS:
        raise OutOfRangeError(f"more encounters than {MOST_ENCOUNTERS:,}, or none")
    if not 0 <= update.score <= 1:
        raise OutOfRangeError("a score that is not between 0 and 1")
    extra = [update.encounters, update.scored, update.score * update.scored]
    scaled = np.concatenate([update.change * update.encounters, extra]) * _ONE
    return np.rint(scaled).astype(np.int64).view(np.uint64)


def decode(total: Words, sites: int) -> Update:
    """Give the weighted mean behind the sum of what `sites` sites encoded.

    Raises
    ------
    WireError
        No such sum can have come of that: a mask is still on it.
    """
    numbers = total.view(np.int64).astype(np.float64) / _ONE
    change, (encounters, scored, score) = numbers[:-EXTRA], numbers[-EXTRA:]
    most = sites * MOST_ENCOUNTERS
    plausible = sites <= encounters <= most and 0 <= scored <= most and 0 <= score <= scored + sites / _ONE
    if not plausible or float(np.abs(change).max(initial=0.0)) > encounters * MOST_CHANGE * (1 + 1 / _ONE):
        raise WireError("the sum is none that sites within their bounds can give")
    mean = min(score / scored, 1.0) if scored else 0.0
    return Update(change / encounters, float(encounters), float(mean), float(scored))
