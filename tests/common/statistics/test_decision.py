"""Net benefit and rates against a published data set, scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from common.statistics.decision import decision_curve, net_benefit, rates

GRID = np.arange(1, 100) / 100


def draw(seed: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    probabilities = np.round(generator.beta(1, 2, size=count), 2)
    return (generator.random(count) < probabilities).astype(np.int64), probabilities


def test_family_history_of_cancer_as_in_dcurves() -> None:
    """Data set df_binary of dcurves 1.1.7 (Apache-2.0), by its four counts, and what that package's `dca` gives."""
    labels = np.repeat([0, 0, 1, 1], (554, 91, 81, 24))
    history = np.repeat([0.0, 1.0, 0.0, 1.0], (554, 91, 81, 24))
    found = decision_curve(labels, history, np.array([0.05, 0.1, 0.15, 0.2]))
    np.testing.assert_allclose(found.model, [0.025614, 0.018519, 0.010588, 0.001667], atol=5e-7)
    np.testing.assert_allclose(found.treat_all, [0.094737, 0.044444, -0.011765, -0.075], atol=5e-7)
    assert found.prevalence == 0.14


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_it_is_the_formula_on_each_confusion_matrix(seed: int) -> None:
    labels, probabilities = draw(seed)
    found = decision_curve(labels, probabilities, GRID)
    for t, benefit in list(zip(GRID, found.model, strict=True))[seed % 9 :: 9]:
        (_, false), (_, true) = confusion_matrix(labels, probabilities >= t, labels=[0, 1])
        assert benefit == pytest.approx((true - false * t / (1 - t)) / 300, abs=1e-12)
    np.testing.assert_array_equal(found.thresholds, GRID)
    assert (found.model <= found.prevalence).all()


def test_who_is_certain_of_everyone_treats_all_and_of_nobody_none() -> None:
    labels, _ = draw(1)
    everyone, nobody = (decision_curve(labels, np.full(300, p), GRID) for p in (0.995, 0.005))
    np.testing.assert_allclose(everyone.model, everyone.treat_all, atol=1e-14)
    np.testing.assert_array_equal(nobody.model, 0)
    perfect = decision_curve(labels, labels.astype(np.float64), GRID)
    np.testing.assert_allclose(perfect.model, labels.mean())


def test_treating_all_is_worth_nothing_where_the_threshold_is_the_prevalence() -> None:
    assert net_benefit(np.array([20]), np.array([80]), 100, np.array([0.2]))[0] == pytest.approx(0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), min_cell=st.integers(2, 30))
def test_no_two_thresholds_tell_of_a_few(seed: int, min_cell: int) -> None:
    labels, probabilities = draw(seed)
    found = decision_curve(labels, probabilities, GRID, min_cell)
    whole = decision_curve(labels, probabilities, GRID)
    kept = np.searchsorted(GRID, found.thresholds)
    np.testing.assert_array_equal(found.model, whole.model[kept])
    np.testing.assert_array_equal(found.treat_all, whole.treat_all[kept])
    for c in (0, 1):
        between = np.histogram(probabilities[labels == c], [-1, *(found.thresholds - 1e-9), 2])[0]
        assert not ((between > 0) & (between < min_cell)).any()


def test_with_too_few_altogether_not_even_the_prevalence_is_told() -> None:
    labels = np.repeat([1, 0], (5, 100))
    found = decision_curve(labels, np.linspace(0, 1, 105), GRID, 11)
    assert len(found.model) == 0
    assert np.isnan(found.prevalence)


@pytest.mark.parametrize("thresholds", [[0.0, 0.5], [0.5, 1.0], [0.5, 0.5], [0.6, 0.5]])
def test_thresholds_are_checked(thresholds: list[float]) -> None:
    labels, probabilities = draw(2)
    with pytest.raises(ValueError, match="ascend between 0 and 1"):
        decision_curve(labels, probabilities, np.array(thresholds))


def test_rates_by_hand() -> None:
    labels = np.repeat([1, 1, 0, 0], (81, 182, 15, 133))
    found = rates(labels, np.repeat([0.5, 0.4, 0.9, 0.1], (81, 182, 15, 133)), 0.5)
    sensitivity, specificity = found["sensitivity"], found["specificity"]
    assert sensitivity.value == pytest.approx(81 / 263)
    # Newcombe 1998: 81 of 263 and 15 of 148
    assert (sensitivity.low, sensitivity.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (1 - specificity.high, 1 - specificity.low) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert found["ppv"].value == pytest.approx(81 / 96)
    assert found["npv"].value == pytest.approx(133 / 315)


def test_a_rate_behind_a_few_is_left_out() -> None:
    labels = np.repeat([1, 1, 0, 0], (40, 4, 12, 60))
    probabilities = np.repeat([0.9, 0.1, 0.9, 0.1], (40, 4, 12, 60))
    assert set(rates(labels, probabilities, 0.5)) == {"sensitivity", "specificity", "ppv", "npv"}
    assert set(rates(labels, probabilities, 0.5, 11)) == {"specificity", "ppv"}
    nobody = rates(labels, probabilities, 0.95)
    assert np.isnan(nobody["ppv"].value)
    assert nobody["sensitivity"].value == 0
