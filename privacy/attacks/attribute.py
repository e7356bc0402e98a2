"""Attribute inference: which value a finding has, from the rest of an encounter, its label and a model.

The value whose prior times the model's probability of the true label is greatest: Fredrikson et al. 2014, "Privacy in
Pharmacogenetics", USENIX Security; judged by members against others as in Yeom et al. 2018, arXiv 1709.01604. Beside
it, what anyone says without the model: how often the finding is present among encounters with that label elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.metrics import Floats
from privacy.attacks.loss import losses

_HALF = 0.5  # added to every count, so that what was never seen elsewhere is not impossible


def scores(present: Floats, absent: Floats, share: float) -> Floats:
    """Score encounters by the log odds that their finding is present.

    Parameters
    ----------
    present, absent : ndarray
        float64 (N,), margins of the true label with the finding's value set to present, and to absent.
    share : float
        Of encounters elsewhere that have the finding, in (0, 1).
    """
    return np.asarray(np.log(share / (1 - share)) + losses(absent) - losses(present))


def prior(positive: NDArray[np.bool_]) -> float:
    """Give the share of encounters that have a finding, (N,), kept off 0 and 1."""
    return float((positive.sum() + _HALF) / (len(positive) + 2 * _HALF))


def without_model(labels: NDArray[np.int64], elsewhere: NDArray[np.bool_], positive: NDArray[np.bool_]) -> Floats:
    """Score encounters by how often others with the same label have the finding.

    Parameters
    ----------
    labels : ndarray
        int64 (N,).
    elsewhere : ndarray
        bool (N,), encounters that may be counted.
    positive : ndarray
        bool (N,), whether an encounter has the finding.
    """
    odds = np.zeros(len(labels))
    for label in np.unique(labels):
        share = prior(positive[elsewhere & (labels == label)])
        odds[labels == label] = np.log(share / (1 - share))
    return odds
