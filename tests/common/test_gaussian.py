"""What Gaussian noise costs, held against another implementation and against hand-checkable ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting.gaussian_mechanism import get_epsilon_gaussian, get_sigma_gaussian
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from common.gaussian import delta_of, epsilon_of, mu_of

EPSILONS, DELTAS = st.floats(0.05, 20), st.sampled_from([1e-9, 1e-6, 1e-5, 1e-3])


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0, 50.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 1e-2])
def test_the_noise_is_that_of_another_implementation(epsilon: float, delta: float) -> None:
    assert 1 / mu_of(epsilon, delta) == pytest.approx(get_sigma_gaussian(epsilon, delta), rel=1e-6)
    assert epsilon_of(0.7, delta) == pytest.approx(get_epsilon_gaussian(1 / 0.7, delta), rel=1e-6)


def test_without_epsilon_delta_is_the_distance_of_two_normals() -> None:
    """Total variation of two normal distributions that lie mu apart: 2 Phi(mu / 2) - 1."""
    for mu in (0.01, 1.0, 3.0):
        assert delta_of(0.0, mu) == pytest.approx(2 * norm.cdf(mu / 2) - 1)
    assert delta_of(1.0, 0.0) == 0.0
    assert epsilon_of(1e-9, 1e-5) == 0.0
    assert math.isinf(epsilon_of(200.0, 1e-5))


@given(EPSILONS, DELTAS)
def test_the_noise_costs_what_was_asked_and_no_less(epsilon: float, delta: float) -> None:
    mu = mu_of(epsilon, delta)
    assert epsilon_of(mu, delta) == pytest.approx(epsilon, rel=1e-6)
    assert delta_of(epsilon, 1.01 * mu) > delta


def test_drawn_noise_tells_two_means_apart_as_seldom_as_delta_says() -> None:
    """The best test for which of two cohorts it was: its advantage at epsilon is delta, counted over many draws."""
    mu, epsilon = 1.0, 0.5
    draws = np.random.default_rng(0).normal(size=2_000_000)
    first, second = draws + mu, draws
    likely = lambda x: mu * x - mu**2 / 2 > epsilon  # noqa: E731  # log of the ratio of their densities
    counted = likely(first).mean() - math.exp(epsilon) * likely(second).mean()
    assert counted == pytest.approx(delta_of(epsilon, mu), abs=2e-3)
