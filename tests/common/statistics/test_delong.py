"""DeLong's variance and paired test: all pairs of encounters, published figures, and what must not matter."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from common.statistics.delong import Areas, areas, difference

# Hanley and McNeil 1982, Radiology 143:29, table 1: CT images by rating, 1 to 5
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)

# Tests of R's pROC, data set aSAH, 41 poor and 72 good outcomes: wfns, ndka, s100b
POINTS = np.array([2431.5, 1806.5, 2159]) / (41 * 72)
VARIANCES = (0.00146991470882363, 0.0031908105493913, 0.00266868245717244)
COVARIANCES = {(0, 1): -0.000532967856762438, (1, 2): -0.000756164938056579, (0, 2): 0.00119615567376754}


def draw(seed: int, models: int = 3, count: int = 60, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Labels, and scores (models, count) with ties that go together."""
    generator = np.random.default_rng(seed)
    labels = np.append([0, 0, 1, 1], generator.random(count - 4) < 0.4).astype(np.int64)
    shared = generator.normal(size=count) + labels
    return labels, np.round(shared + generator.normal(size=(models, count)), decimals)


def all_pairs(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """DeLong et al. 1988 as it is written, one pair of encounters after the other."""
    true, false = scores[:, labels == 1], scores[:, labels == 0]
    kernel = np.array(
        [[[(x > y) + 0.5 * (x == y) for y in ys] for x in xs] for xs, ys in zip(true, false, strict=True)]
    )
    v10, v01 = kernel.mean(axis=2), kernel.mean(axis=1)
    s10, s01 = np.atleast_2d(np.cov(v10)), np.atleast_2d(np.cov(v01))
    return kernel.mean(axis=(1, 2)), s10 / true.shape[1] + s01 / false.shape[1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), models=st.integers(1, 4), decimals=st.integers(0, 6))
def test_it_is_the_direct_form_over_all_pairs(seed: int, models: int, decimals: int) -> None:
    labels, scores = draw(seed, models, decimals=decimals)
    values, covariance = all_pairs(labels, scores)
    found = areas(labels, scores)
    np.testing.assert_allclose(found.values, values, atol=1e-14)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-15)
    np.testing.assert_allclose(found.variances, np.diag(covariance), atol=1e-15)
    np.testing.assert_allclose(found.values, [roc_auc_score(labels, each) for each in scores], atol=1e-14)


def test_one_model_against_the_figures_that_stata_publishes() -> None:
    """Stata's manual, roctab: area 0.8932, standard error 0.0307, 0.83295 to 0.95339, by DeLong, plain scale."""
    scores = np.repeat(np.tile(np.arange(5.0), 2), NORMAL + ABNORMAL)
    found = areas(np.repeat([0, 1], (sum(NORMAL), sum(ABNORMAL))), scores)
    plain = found.estimates("plain")[0]
    assert plain.value == pytest.approx(0.8932, abs=5e-5)
    assert np.sqrt(found.variances[0]) == pytest.approx(0.0307, abs=5e-5)
    assert (plain.low, plain.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)


@pytest.mark.parametrize(
    ("first", "second", "z", "p", "low", "high"),
    [
        (0, 2, 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        (0, 1, 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        (1, 2, -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
)
def test_paired_tests_are_those_that_proc_publishes(
    first: int, second: int, z: float, p: float, low: float, high: float
) -> None:
    """From the covariance matrix that pROC publishes to the test; the matrix itself is tested above."""
    covariance = np.diag(VARIANCES)
    for (row, column), value in COVARIANCES.items():
        covariance[row, column] = covariance[column, row] = value
    found = difference(Areas(POINTS, np.linalg.cholesky(covariance)), first, second)
    assert (found.z, found.p, found.low, found.high) == pytest.approx((z, p, low, high), rel=1e-9)


def test_single_intervals_are_those_that_proc_publishes() -> None:
    found = Areas(POINTS, np.diag(np.sqrt(VARIANCES))).estimates("plain")
    assert [(round(each.low, 4), round(each.high, 4)) for each in found] == [
        (0.7485, 0.8988),
        (0.5012, 0.7227),
        (0.6301, 0.8326),
    ]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_must_not_matter_does_not(seed: int) -> None:
    labels, scores = draw(seed)
    found = areas(labels, scores)
    order = np.random.default_rng(seed).permutation(len(labels))
    same = {
        "a monotone transform": areas(labels, np.exp(scores / 3) - 7),
        "the order of encounters": areas(labels[order], scores[:, order]),
        "which class is positive": areas(1 - labels, -scores),
    }
    for what, other in same.items():
        np.testing.assert_allclose(other.values, found.values, atol=1e-14, err_msg=what)
        np.testing.assert_allclose(other.covariance, found.covariance, atol=1e-15, err_msg=what)
    turned = areas(labels, -scores)
    np.testing.assert_allclose(turned.values, 1 - found.values, atol=1e-14)
    np.testing.assert_allclose(turned.covariance, found.covariance, atol=1e-15)
    there, back = difference(found, 0, 1), difference(found, 1, 0)
    assert (there.value, there.low, there.z, there.p) == pytest.approx((-back.value, -back.high, -back.z, back.p))


def test_models_that_rank_alike_do_not_differ() -> None:
    labels, scores = draw(1, models=1)
    found = difference(areas(labels, np.stack([scores[0], np.exp(scores[0])])), 0, 1)
    assert (found.value, found.error, found.z, found.p) == (0, 0, 0, 1)


def test_intervals_on_the_logit_scale_cover_near_one_where_plain_ones_fall_short() -> None:
    """3,000 samples of 12 positives and 40 negatives, normal scores, area 0.95."""
    labels = np.repeat([1, 0], (12, 40))
    scores = np.random.default_rng(0).normal(size=(3000, 52)) + labels * np.sqrt(2) * norm.ppf(0.95)
    found = areas(labels, scores)
    covered = {
        scale: np.mean([each.low <= 0.95 <= each.high for each in found.estimates(scale) if each.value < 1])
        for scale in ("logit", "plain")
    }
    assert 0.94 <= covered["logit"] <= 0.97
    assert covered["plain"] < 0.92
    assert max(each.high for each in found.estimates("logit") if each.value < 1) < 1


def test_a_perfect_order_has_an_area_but_no_interval_on_the_logit_scale() -> None:
    found = areas(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])).estimates()[0]
    assert found.value == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_without_two_of_a_class_there_is_no_variance_and_without_one_no_area() -> None:
    one = areas(np.array([0, 0, 1]), np.array([0.1, 0.3, 0.2]))
    assert one.values[0] == 0.5
    assert np.isnan(one.estimates()[0].low)
    assert np.isnan(areas(np.array([0, 0]), np.array([0.1, 0.2])).values[0])


def test_one_model_with_a_score_that_is_not_finite_leaves_the_others_alone() -> None:
    labels, scores = draw(3)
    broken = scores.copy()
    broken[1, 5] = np.inf
    found, whole = areas(labels, broken), areas(labels, scores)
    assert np.isnan(found.values[1])
    assert difference(found, 0, 2) == difference(whole, 0, 2)


def test_labels_other_than_two_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="labels other than 0 and 1"):
        areas(np.array([0, 1, 2]), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match=r"labels of shape \(2,\) for scores of shape \(1, 3\)"):
        areas(np.array([0, 1]), np.array([0.1, 0.2, 0.3]))


def test_a_hundred_models_on_ten_thousand_encounters_take_less_than_a_second() -> None:
    labels, scores = draw(2, models=100, count=10_000, decimals=4)
    took = []
    for _ in range(3):
        start = perf_counter()
        areas(labels, scores).covariance  # noqa: B018
        took.append(perf_counter() - start)
    assert min(took) < 1
