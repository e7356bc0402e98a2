"""Intervals against scipy, published figures, and the bootstrap that `common.metrics` has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from common.metrics import score
from common.statistics.intervals import bootstrap, from_variance, wilson


def test_wilson_is_that_of_newcombe_and_scipy() -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    successes, counts = np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29])
    found = wilson(successes, counts)
    np.testing.assert_allclose(found.low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(found.high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)
    for k, n, low, high in zip(successes, counts, found.low, found.high, strict=True):
        reference = binomtest(int(k), int(n)).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-14)


def test_a_share_of_nobody_has_no_figure() -> None:
    found = wilson(np.array([0]), np.array([0]))
    assert np.isnan([found.value[0], found.low[0], found.high[0]]).all()


def test_an_interval_by_hand() -> None:
    plain = from_variance(0.8, 0.01)
    assert (plain.low, plain.high) == pytest.approx((0.8 - 0.1959964, 0.8 + 0.1959964))
    # logit(0.8) = 1.386294; its error is 0.1 / 0.16 = 0.625: 0.161316 to 2.611272
    logit = from_variance(0.8, 0.01, "logit")
    assert (logit.low, logit.high) == pytest.approx((0.540242, 0.931584), abs=1e-6)
    # Student's 97.5 % quantile at 4 degrees of freedom is 2.776445
    assert from_variance(0.0, 1.0, df=4).high == pytest.approx(2.776445, abs=1e-6)


def test_the_bootstrap_of_auprc_is_near_that_of_the_metrics() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.3).astype(np.int64)
    probabilities = np.round((generator.random(400) + labels) / 2, 2)
    reference = score(labels, probabilities, None, replicates=1000)["auprc"]
    band = bootstrap(lambda drawn: average_precision_score(labels[drawn], probabilities[drawn]), labels, 1000, seed=1)
    assert float(band.value) == pytest.approx(reference.value)
    assert float(band.low) == pytest.approx(reference.low, abs=0.01)
    assert float(band.high) == pytest.approx(reference.high, abs=0.01)


def test_a_bootstrap_draws_with_replacement_within_strata_and_by_its_seed() -> None:
    strata = np.repeat([0, 1, 2], (5, 7, 1))
    seen = []

    def look(drawn: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        seen.append(drawn)
        return np.bincount(strata[drawn]).astype(np.float64)

    band = bootstrap(look, strata, 200, seed=4)
    assert band.low.tolist() == band.high.tolist() == [5, 7, 1]
    assert any(len(set(drawn.tolist())) < 13 for drawn in seen)
    first = bootstrap(lambda drawn: drawn.mean(), strata, 50, seed=4)
    assert first == bootstrap(lambda drawn: drawn.mean(), strata, 50, seed=4)
    assert float(first.low) != float(bootstrap(lambda drawn: drawn.mean(), strata, 50, seed=5).low)


def test_the_mean_of_a_sample_has_the_interval_of_theory() -> None:
    sample = np.random.default_rng(1).normal(size=400)
    band = bootstrap(lambda drawn: sample[drawn].mean(), np.zeros(400), 4000)
    assert float(band.high - band.low) == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.05)


def test_a_statistic_that_often_has_no_figure_has_no_interval() -> None:
    def sometimes(drawn: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.array([drawn.mean(), np.nan if drawn[0] % 2 else 1.0, np.nan if drawn[0] == 0 else 1.0])

    band = bootstrap(sometimes, np.zeros(100), 300)
    assert np.isfinite(band.low).tolist() == [True, False, True]
    assert np.isfinite(band.high).tolist() == [True, False, True]
