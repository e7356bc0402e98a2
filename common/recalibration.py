"""Recalibration as a transfer strategy: what is fitted at a target, travels as one or two numbers, and makes a head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.statistics.calibration import Recalibration, recalibrate

INTERCEPT, SLOPE = "recalibration.intercept", "recalibration.slope"  # the figures that travel


def fit(labels: NDArray[np.int64], probabilities: NDArray[np.float64], numbers: int) -> Recalibration:
    """Fit by maximum likelihood, see `common.statistics.calibration`.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive; both classes.
    probabilities : ndarray
        float64 (N,), of being positive.
    numbers : int
        1 fits the intercept, 2 the slope as well. A slope that does not exist (separable data) or is not above zero,
        which would turn the ranking round, is left at 1.
    """
    both = recalibrate(labels, probabilities, slope=True) if numbers > 1 else None
    if both is not None and both.slope > 0:
        return both
    return recalibrate(labels, probabilities) or Recalibration(0.0)


def recalibrated(head: Mapping[str, Tensor], by: Recalibration) -> dict[str, Tensor]:
    """Give linear.weight (2, F) and linear.bias (2,) of a head whose logit difference is ``a + b (l1 - l0)``."""
    added = torch.tensor([0.0, by.intercept], dtype=torch.float64)
    weight, bias = head["linear.weight"].double() * by.slope, head["linear.bias"].double() * by.slope + added
    return {"linear.weight": weight.float(), "linear.bias": bias.float()}
