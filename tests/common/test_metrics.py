"""Scores against scikit-learn, by hand, and their intervals against theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from common.figures import METRICS
from common.metrics import auroc, score, youden_threshold


def draw(seed: int, count: int = 400, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Labels and probabilities with many ties."""
    generator = np.random.default_rng(seed)
    latent = generator.normal(size=count)
    labels = (generator.random(count) < 1 / (1 + np.exp(-1.5 * latent))).astype(np.int64)
    probabilities = np.round(1 / (1 + np.exp(-2 * latent - generator.normal(size=count))), decimals).clip(0.001, 0.999)
    return labels, probabilities


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), decimals=st.integers(1, 6))
def test_points_are_those_of_scikit_learn(seed: int, decimals: int) -> None:
    labels, probabilities = draw(seed, decimals=decimals)
    found = score(labels, probabilities, 0.4)
    assert found["auroc"].value == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-12)
    assert auroc(labels, probabilities) == found["auroc"].value
    assert found["auprc"].value == pytest.approx(average_precision_score(labels, probabilities), abs=1e-12)
    assert found["brier"].value == pytest.approx(brier_score_loss(labels, probabilities), abs=1e-12)
    assert found["sensitivity"].value == pytest.approx((probabilities[labels == 1] >= 0.4).mean())
    assert found["specificity"].value == pytest.approx((probabilities[labels == 0] < 0.4).mean())


def test_calibration_is_the_logistic_regression_on_the_logit() -> None:
    labels, probabilities = draw(3, 2000)
    logit = np.log(probabilities / (1 - probabilities))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, labels)
    found = score(labels, probabilities, None)
    assert found["calibration_slope"].value == pytest.approx(reference.coef_[0, 0], abs=1e-6)
    assert "sensitivity" not in found


@pytest.mark.parametrize(("shift", "sharpness"), [(-6.0, 3.0), (5.0, 0.2), (-5.0, 5.0), (0.0, 1.0)])
def test_calibration_of_a_model_that_is_far_off(shift: float, sharpness: float) -> None:
    """Distorting the logits by a + b x must give the slope divided by b, however far from 1."""
    labels, probabilities = draw(4, 3000, 6)
    logit = np.log(probabilities / (1 - probabilities)).clip(-1.8, 1.8)
    plain = score(labels, 1 / (1 + np.exp(-logit)), None)["calibration_slope"].value
    distorted = 1 / (1 + np.exp(-(shift + sharpness * logit)))
    found = score(labels, distorted, None, replicates=100, seed=0)["calibration_slope"]
    assert found.value == pytest.approx(plain / sharpness, rel=1e-4)
    assert found.low < found.value < found.high


def test_calibration_in_the_large_by_hand() -> None:
    # one probability for all, 0.5; a quarter are positive: the intercept is logit(0.25) = -ln 3
    labels, probabilities = np.array([1, 0, 0, 0] * 25), np.full(100, 0.5)
    assert score(labels, probabilities, None)["calibration_intercept"].value == pytest.approx(-np.log(3))


def test_auroc_by_hand() -> None:
    # of 2 x 2 pairs one is in order, one is a tie, two are in order: (1 + 0.5 + 1 + 1) / 4
    assert auroc(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])) == 0.875
    assert np.isnan(auroc(np.array([1, 1]), np.array([0.9, 0.5])))


def test_interval_of_auroc_is_near_hanley_and_mcneil() -> None:
    labels, probabilities = draw(5, 1500, 6)
    found = score(labels, probabilities, 0.5, replicates=1000, seed=1)
    area, positives = found["auroc"].value, int(labels.sum())
    negatives = len(labels) - positives
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    error = np.sqrt(variance / (positives * negatives))  # Hanley and McNeil 1982, Radiology 143:29
    width = found["auroc"].high - found["auroc"].low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.15)
    for name in METRICS:
        assert found[name].low <= found[name].value <= found[name].high, name


def test_a_seed_gives_one_interval() -> None:
    labels, probabilities = draw(6)
    first = score(labels, probabilities, 0.5, replicates=100, seed=1)
    assert first == score(labels, probabilities, 0.5, replicates=100, seed=1)
    assert first["auroc"].low != score(labels, probabilities, 0.5, replicates=100, seed=2)["auroc"].low


def test_separable_data_has_no_slope_but_all_else() -> None:
    labels, probabilities = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    found = score(labels, probabilities, 0.5, replicates=100, seed=0)
    assert np.isnan(found["calibration_slope"].value)
    assert found["auroc"].value == 1.0
    assert found["sensitivity"].value == 1.0


def test_the_threshold_is_where_sensitivity_and_specificity_are_greatest() -> None:
    labels, probabilities = np.array([0, 0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.412, 0.5, 0.7, 0.9])
    assert youden_threshold(labels, probabilities, 2) == 0.41  # rounded: an exact one would be one patient's score
    assert youden_threshold(labels, probabilities / 100) == 0.004
    assert youden_threshold(labels, probabilities / 1e6) == 0.001  # 0 would call everyone positive


def test_probabilities_that_are_not_finite_have_no_auroc() -> None:
    labels = np.array([0, 1, 0, 1])
    assert np.isnan(auroc(labels, np.full(4, np.nan)))


def test_interval_of_the_slope_is_that_of_refitting_every_replicate() -> None:
    """Few positives, a slope above 1: where one Newton step falls short."""
    labels, probabilities = draw(9, 200, 6)
    soft = 1 / (1 + np.exp(-0.5 * np.log(probabilities / (1 - probabilities))))
    found = score(labels, soft, None, replicates=300, seed=3)["calibration_slope"]
    generator = np.random.default_rng(3)
    logit = np.log(soft / (1 - soft))[:, None]
    refits = []
    for _ in range(300):
        drawn = np.concatenate([generator.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in (0, 1)])
        refits.append(LogisticRegression(C=np.inf, max_iter=1000).fit(logit[drawn], labels[drawn]).coef_[0, 0])
    low, high = np.quantile(refits, [0.025, 0.975])
    assert found.low == pytest.approx(low, rel=0.1)
    assert found.high == pytest.approx(high, rel=0.1)
