from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from common.recalibration import INTERCEPT, SLOPE, fit, recalibrated
from common.shape import ModelShape


def sigmoid(logit: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return 1 / (1 + np.exp(-logit))  # type: ignore[no-any-return]


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(215)
    logit = rng.normal(0, 2, 4000)
    return (rng.random(4000) < sigmoid(-1 + 0.5 * logit)).astype(np.int64), logit


def test_two_numbers_are_those_of_logistic_regression(made: tuple[np.ndarray, np.ndarray]) -> None:  # type: ignore[type-arg]
    labels, logit = made
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], labels)
    found = fit(labels, sigmoid(logit), 2)
    assert (found.intercept, found.slope) == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=1e-5)
    assert (found.intercept, found.slope) == pytest.approx((-1, 0.5), abs=0.1)


def test_one_number_makes_the_mean_right(made: tuple[np.ndarray, np.ndarray]) -> None:  # type: ignore[type-arg]
    labels, logit = made
    found = fit(labels, sigmoid(logit), 1)
    assert found.slope == 1
    assert sigmoid(logit + found.intercept).mean() == pytest.approx(labels.mean(), abs=1e-9)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [1, 1, 0, 0]], ids=["separable", "turned round"])
def test_a_slope_that_is_none_is_left_at_one(labels: list[int]) -> None:
    found = fit(np.array(labels), np.array([0.1, 0.2, 0.8, 0.9]), 2)
    assert found.slope == 1
    assert np.isfinite(found.intercept)


@given(st.floats(-5, 5), st.floats(0.1, 5))
def test_the_head_gives_the_recalibrated_logit(intercept: float, slope: float) -> None:
    head = {"linear.weight": torch.randn(2, 3), "linear.bias": torch.randn(2)}
    pooled = torch.randn(7, 3)

    def logit(of: dict[str, torch.Tensor]) -> torch.Tensor:
        both = pooled @ of["linear.weight"].T + of["linear.bias"]
        return both[:, 1] - both[:, 0]

    after = recalibrated(head, ModelShape(), {INTERCEPT: intercept, SLOPE: slope})
    torch.testing.assert_close(logit(after), intercept + slope * logit(head), rtol=1e-4, atol=1e-3)
