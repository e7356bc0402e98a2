"""What a plain answer of a source would have said, as a secure sum takes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.figures import WEIGHT
from common.secure.fixed import Update
from common.strategies import EVERYTHING
from common.tasks import Answer
from common.wire import Flat, array_name


def update_of(answer: Answer, came: Mapping[str, Flat], equal: bool) -> Update:
    """Give the update behind a source's answer, which its policy has let out.

    Parameters
    ----------
    answer : Answer
        With the new weights, the encounters behind them and, from the second round on, the score of what came.
    came : mapping of str to ndarray
        The weights that came, packed.
    equal : bool
        Whether it counts 1, and not its encounters.
    """
    name = array_name(EVERYTHING)
    change = answer.arrays[name].astype(np.float64) - came[name].astype(np.float64)
    weight = 1.0 if equal else answer.figures[WEIGHT]
    score, scored = (answer.figures.get(f"came.validation.{figure}") for figure in ("auroc", "n"))
    if score is None or not scored:
        return Update(change, weight)
    return Update(change, weight, score, scored)
