"""What is not two classes, or not a probability, is refused wherever it would pass for a figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from common.statistics.calibration import calibration_error, recalibrate, reliability
from common.statistics.decision import decision_curve, rates

LABELS, PROBABILITIES = np.array([0, 1, 1, 0]), np.array([0.1, 0.4, 0.8, 0.3])
USES: dict[str, Callable[..., object]] = {
    "error": calibration_error,
    "curve": reliability,
    "recalibration": recalibrate,
    "net benefit": lambda y, p: decision_curve(y, p, np.array([0.2, 0.6])),
    "rates": lambda y, p: rates(y, p, 0.5),
}


@pytest.mark.parametrize("use", USES)
def test_a_model_that_diverged_has_no_figures(use: str) -> None:
    USES[use](LABELS, PROBABILITIES)
    for wrong in (np.nan, 1.2, -0.1, np.inf):
        with pytest.raises(ValueError, match="did training diverge"):
            USES[use](LABELS, np.where(PROBABILITIES == 0.4, wrong, PROBABILITIES))


@pytest.mark.parametrize("use", USES)
def test_labels_are_of_two_classes_and_one_for_each(use: str) -> None:
    with pytest.raises(ValueError, match="labels other than 0 and 1"):
        USES[use](LABELS * 2, PROBABILITIES)
    with pytest.raises(ValueError, match=r"labels of shape \(3,\) for scores of shape \(4,\)"):
        USES[use](LABELS[:3], PROBABILITIES)
