"""Membership inference by a threshold on the loss, or on how far a site's own training lets it fall.

Yeom et al. 2018, "Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting", IEEE Computer Security
Foundations Symposium, arXiv 1709.01604.
"""

from __future__ import annotations

import numpy as np

from common.metrics import Floats


def losses(margins: Floats) -> Floats:
    """Give the cross-entropy of each encounter from its margin: the true class's logit less the other's."""
    return np.asarray(np.logaddexp(0.0, -margins))


def scores(losses: Floats) -> Floats:
    """Score encounters (M, N) by their losses under each model; who has a small one was a member."""
    return -losses
