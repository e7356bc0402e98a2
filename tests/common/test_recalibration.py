from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from common.outcome import answers, chances
from common.recalibration import INTERCEPT, SLOPE, figures_of, fit, prior_figures, recalibrated
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


VIRUSES, LABELS = ModelShape(filters=3, classes=("flu", "rsv", "none")), ModelShape(filters=3, labels=("flu", "rsv"))
Head = dict[str, torch.Tensor]


def encounters(shape: ModelShape, seed: int = 0) -> tuple[np.ndarray, Head, torch.Tensor]:  # type: ignore[type-arg]
    """Labels, a head, and pooled filters of which the head's logits are wrong by intercepts and a slope."""
    draw = torch.Generator().manual_seed(seed)
    head = {
        name: torch.randn(*size, generator=draw)
        for name, size in (("linear.weight", (shape.outputs, 3)), ("linear.bias", (shape.outputs,)))
    }
    pooled = torch.randn(3000, 3, generator=draw)
    true = 0.6 * logits(head, pooled).double() + torch.tensor([1.0, -0.5, 0.2][: shape.outputs])
    drawn = torch.rand(true.shape, dtype=torch.float64, generator=draw)
    if shape.labels:
        return (drawn < true.sigmoid()).long().numpy(), head, pooled
    return (true - (-drawn.log()).log()).argmax(dim=1).numpy(), head, pooled  # Gumbel's noise draws a class


def logits(head: Head, pooled: torch.Tensor) -> torch.Tensor:
    return pooled @ head["linear.weight"].T + head["linear.bias"]


@pytest.mark.parametrize("shape", [VIRUSES, LABELS], ids=["classes", "labels"])
@pytest.mark.parametrize("numbers", [1, 2])
def test_several_are_recalibrated_to_the_shares_that_there_are(shape: ModelShape, numbers: int) -> None:
    labels, head, pooled = encounters(shape)
    found = figures_of(shape, labels, chances(shape, logits(head, pooled)), numbers)
    after = chances(shape, logits(recalibrated(head, shape, found), pooled))
    np.testing.assert_allclose(after.mean(axis=0), answers(shape, labels).mean(axis=0), atol=1e-6)
    slopes = {name: value for name, value in found.items() if name.endswith("slope")}
    assert len(found) - len(slopes) == shape.outputs
    assert len(slopes) == (0 if numbers == 1 else 1 if shape.labels is None else 2)
    assert all(value == pytest.approx(0.6, abs=0.1) for value in slopes.values())
    shifts = np.array([found[f"recalibration.{name}.intercept"] for name in shape.names])
    if numbers == 2:
        true = np.array([1.0, -0.5, 0.2])
        expected = true - true.mean() if shape.labels is None else true[:2]
        np.testing.assert_allclose(shifts, expected, atol=0.2)


def test_two_of_three_classes_are_those_of_logistic_regression() -> None:
    """They have one intercept between them, as a logistic regression on their log odds; the third keeps its own."""
    labels, head, pooled = encounters(VIRUSES)
    labels = np.minimum(labels, 1)  # nobody has the third
    before = chances(VIRUSES, logits(head, pooled))
    found = figures_of(VIRUSES, labels, before, 2)
    odds = np.log(before[:, 1] / before[:, 0])
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], labels)
    between = found["recalibration.rsv.intercept"] - found["recalibration.flu.intercept"]
    assert (between, found[SLOPE]) == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=1e-4)
    assert "recalibration.none.intercept" not in found


def test_classes_that_are_told_apart_without_error_keep_their_slope() -> None:
    right = np.eye(3)[np.arange(30) % 3] * 0.9 + 0.1 / 3
    found = figures_of(VIRUSES, np.arange(30) % 3, right, 2)
    assert found[SLOPE] == 1
    assert found["recalibration.flu.intercept"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [ModelShape(filters=3), VIRUSES, LABELS], ids=["two", "classes", "labels"])
def test_another_prevalence_by_bayes(shape: ModelShape) -> None:
    labels, head, pooled = encounters(shape)
    there = (0.2, 0.6) if shape.labels else (0.2,) if shape.binary else (0.5, 0.3, 0.2)
    before = chances(shape, logits(head, pooled))
    after = chances(shape, logits(recalibrated(head, shape, prior_figures(shape, labels, there)), pooled))
    here = answers(shape, labels).mean(axis=0)
    if shape == VIRUSES:
        expected = before * here / np.array(there)
        expected /= expected.sum(axis=1, keepdims=True)
    else:
        yes, no = before * here / np.array(there), (1 - before) * (1 - here) / (1 - np.array(there))
        expected = yes / (yes + no)
    np.testing.assert_allclose(after, expected, atol=1e-5)
