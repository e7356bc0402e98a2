"""Reliability, expected calibration error and recalibration against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from common.metrics import score
from common.statistics.calibration import Binning, calibration_error, recalibrate, reliability

STRATEGY: dict[Binning, str] = {"count": "quantile", "width": "uniform"}


def draw(seed: int, count: int = 500, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    probabilities = np.round(generator.beta(1, 3, size=count), decimals)
    return (generator.random(count) < probabilities**1.3).astype(np.int64), probabilities


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), bins=st.integers(1, 20), by=st.sampled_from(["count", "width"]))
def test_bins_are_those_of_scikit_learn(seed: int, bins: int, by: Binning) -> None:
    labels, probabilities = draw(seed)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=bins, strategy=STRATEGY[by])
    found = reliability(labels, probabilities, bins, by)
    np.testing.assert_allclose(found.observed.value, observed, atol=1e-12)
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-12)
    assert found.counts.sum() == len(labels)
    assert found.positives.sum() == labels.sum()
    weighted = np.abs(observed - predicted) @ found.counts / len(labels)
    assert calibration_error(labels, probabilities, bins, by) == pytest.approx(weighted)


def test_an_error_by_hand() -> None:
    labels, probabilities = np.array([0, 1, 1, 1]), np.array([0.1, 0.3, 0.6, 0.9])
    # two bins: half are positive at 0.2 on average, all at 0.75: (0.3 + 0.25) / 2
    assert calibration_error(labels, probabilities, 2) == pytest.approx(0.275)
    # one width: the halves are the same here
    assert calibration_error(labels, probabilities, 2, "width") == pytest.approx(0.275)
    # by count (0.1, 0.2 | 0.3, 0.9), by width (0.1, 0.2, 0.3 | 0.9)
    other = np.array([0.1, 0.2, 0.3, 0.9])
    assert calibration_error(np.array([0, 0, 1, 1]), other, 2) == pytest.approx((0.15 + 0.4) / 2)
    assert calibration_error(np.array([0, 0, 1, 1]), other, 2, "width") == pytest.approx(
        0.75 * (1 / 3 - 0.2) + 0.25 * 0.1
    )


def test_the_default_is_by_count() -> None:
    labels, probabilities = draw(1)
    assert calibration_error(labels, probabilities) == calibration_error(labels, probabilities, 10, "count")
    assert (
        reliability(labels, probabilities).counts.tolist()
        == reliability(labels, probabilities, 10, "count").counts.tolist()
    )
    assert np.ptp(reliability(labels, probabilities).counts) < 20  # but for ties


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), min_cell=st.integers(2, 40), by=st.sampled_from(["count", "width"]))
def test_no_bin_tells_of_a_few(seed: int, min_cell: int, by: Binning) -> None:
    labels, probabilities = draw(seed, 300)
    found = reliability(labels, probabilities, 15, by, min_cell)
    for counts in (found.positives, found.counts - found.positives):
        assert not ((counts > 0) & (counts < min_cell)).any()
    assert found.counts.sum() == (0 if labels.sum() < min_cell else 300)
    assert (np.diff(found.predicted) > 0).all()


def test_too_few_altogether_have_no_curve() -> None:
    labels = np.repeat([1, 0], (5, 100))
    found = reliability(labels, np.linspace(0, 1, 105), min_cell=11)
    assert len(found.counts) == len(found.predicted) == len(found.observed.value) == 0


def test_a_slope_and_intercept_are_the_logistic_regression_on_the_logit() -> None:
    labels, probabilities = draw(2, 2000, 6)
    logit = np.log(probabilities / (1 - probabilities))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, labels)
    found = recalibrate(labels, probabilities, slope=True)
    assert found is not None
    assert (found.intercept, found.slope) == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=1e-5)
    np.testing.assert_allclose(found.apply(probabilities), reference.predict_proba(logit)[:, 1], atol=1e-6)


def test_an_intercept_alone_is_the_maximum_of_the_likelihood() -> None:
    labels, probabilities = draw(3, 2000, 6)
    logit = np.log(probabilities / (1 - probabilities))
    reference = minimize(
        lambda a: np.logaddexp(0, np.where(labels == 1, -1, 1) * (logit + a[0])).sum(), [0.0], tol=1e-12
    )
    found = recalibrate(labels, probabilities)
    assert found is not None
    assert found.intercept == pytest.approx(reference.x[0], abs=1e-5)
    assert found.slope == 1
    assert found.apply(probabilities).mean() == pytest.approx(labels.mean(), abs=1e-9)


@pytest.mark.parametrize("slope", [False, True])
def test_after_recalibration_nothing_is_left_to_recalibrate(slope: bool) -> None:
    labels, probabilities = draw(4, 2000, 6)
    found = recalibrate(labels, probabilities, slope)
    assert found is not None
    after = score(labels, found.apply(probabilities), None)
    assert after["calibration_intercept"].value == pytest.approx(0, abs=1e-8)
    assert (after["calibration_slope"].value == pytest.approx(1, abs=1e-8)) == slope
    again = recalibrate(labels, found.apply(probabilities), slope)
    assert again is not None
    assert (again.intercept, again.slope) == pytest.approx((0, 1), abs=1e-8)


def test_without_a_maximum_there_is_no_recalibration() -> None:
    separate = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.8])
    assert recalibrate(*separate, slope=True) is None
    assert recalibrate(*separate) is not None
    assert recalibrate(np.array([1, 1]), np.array([0.2, 0.8])) is None
    alike = np.array([0, 0, 0, 1]), np.full(4, 0.5)
    assert recalibrate(*alike, slope=True) is None
    found = recalibrate(*alike)
    assert found is not None
    assert found.intercept == pytest.approx(-np.log(3))
