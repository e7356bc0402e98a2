"""Attribute inference: which value a finding has, from the rest of an encounter, its label and a model.

The value whose prior times the model's probability of the true label is greatest: Fredrikson et al. 2014, "Privacy in
Pharmacogenetics", USENIX Security; judged by members against others as in Yeom et al. 2018, arXiv 1709.01604. Beside
it, what anyone says without the model: how often the finding is present among the
population's encounters with that label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.methods.loss import losses
from common.metrics import Floats

_HALF = 0.5  # added to every count, so that what was never seen is not impossible


def scores(present: Floats, absent: Floats, share: float) -> Floats:
    """Score encounters by the log odds that their finding is present.

    Parameters
    ----------
    present, absent : ndarray
        float64 (N,), margins of the true label with the finding's value set to present, and to absent.
    share : float
        Of the population's encounters that have the finding, in (0, 1).
    """
    return np.asarray(np.log(share / (1 - share)) + losses(absent) - losses(present))


def share_of(present: NDArray[np.bool_]) -> float:
    """Give the share of encounters (N,) that have a finding, kept off 0 and 1."""
    return float((present.sum() + _HALF) / (len(present) + 2 * _HALF))


def without_model(labels: NDArray[np.int64], known: NDArray[np.int64], present: NDArray[np.bool_]) -> Floats:
    """Score encounters by how often those with the same label have the finding.

    Parameters
    ----------
    labels : ndarray
        int64 (N,), of the encounters that are scored.
    known, present : ndarray
        int64 and bool (K,), label of the encounters that are counted, and whether each has the finding.
    """
    odds = np.zeros(len(labels))
    for label in np.unique(labels):
        share = share_of(present[known == label])
        odds[labels == label] = np.log(share / (1 - share))
    return odds
