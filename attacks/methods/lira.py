"""Membership inference by likelihood ratio, online: with shadow models that had an encounter, and that had not.

Carlini et al. 2022, "Membership Inference Attacks From First Principles", IEEE Symposium on Security and Privacy,
arXiv 2112.03570. The confidence p in the true class is taken as log(p / (1 - p)), which is the margin between the true
class's logit and the other's, and is close to normal over models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from common.metrics import Floats

OWN_SPREAD = 20  # shadow models of a kind, on average, from which on encounters have standard deviations of their own
_LEAST = 1e-6  # standard deviation; models that all say the same have none


def scores(margins: Floats, members: NDArray[np.bool_], shadows: NDArray[np.bool_] | None = None) -> Floats:
    """Score encounters: each model in turn is attacked, and all the others are its shadow models.

    Parameters
    ----------
    margins : ndarray
        float64 (M, N), of each encounter under each model.
    members : ndarray
        bool (M, N), whether a model was trained on an encounter; each encounter must be in some and out of others.
    shadows : ndarray, optional
        bool (M, N), pairs that count neither as in nor as out where false, such as encounters that chose among
        candidates; without it every pair counts.

    Returns
    -------
    ndarray
        float64 (M, N), log-likelihood ratio of having been a member; 0 where a kind of shadow models is missing.
    """
    counted = np.ones_like(members) if shadows is None else shadows
    result = np.empty_like(margins)
    for k in range(len(margins)):
        others = np.arange(len(margins)) != k
        parts = [_fit(margins[others], kind[others]) for kind in (members & counted, ~members & counted)]
        (inside, spread_in), (outside, spread_out) = parts
        ratio = norm.logpdf(margins[k], inside, spread_in) - norm.logpdf(margins[k], outside, spread_out)
        result[k] = np.nan_to_num(ratio, nan=0.0)
    return result


def _fit(margins: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Give mean and standard deviation (N,) of each encounter's margins over the chosen models.

    With few models the standard deviation is one for all encounters, as in section VI of the paper.
    """
    count = chosen.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(chosen, margins, 0.0).sum(axis=0) / count
        squares = np.where(chosen, (margins - mean) ** 2, 0.0).sum(axis=0)
        spread = np.full_like(mean, np.sqrt(squares.sum() / np.maximum(count - 1, 0).sum()))
        if count.mean() >= OWN_SPREAD:
            spread = np.where(count > 1, np.sqrt(squares / (count - 1)), spread)
    return mean, np.maximum(spread, _LEAST)
