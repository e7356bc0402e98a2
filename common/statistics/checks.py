"""What all estimates ask of labels and probabilities; a diverged model must not look like a certain one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.metrics import Floats, Integers


def positives(labels: Integers, scores: Floats) -> NDArray[np.bool_]:
    """Say which encounters are positive, bool (N,), for scores (..., N).

    Raises
    ------
    ValueError
        The labels are not 0 and 1, or not one for each score.
    """
    if labels.shape != scores.shape[-1:]:
        raise ValueError(f"labels of shape {labels.shape} for scores of shape {scores.shape}; expected one for each")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels other than 0 and 1; expected 1 for positive and 0 for negative")
    return np.asarray(labels == 1)


def check(labels: Integers, probabilities: Floats) -> None:
    """Check labels of two classes and their probabilities.

    Raises
    ------
    ValueError
        As for `positives`, or a probability is not from 0 to 1.
    """
    positives(labels, probabilities)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities that are not from 0 to 1; did training diverge?")
