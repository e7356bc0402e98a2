"""Epsilon against two independent accountants, and against what is known in closed form."""

from __future__ import annotations

import math

import pytest
from scipy import optimize, stats

from client.privacy.accounting import Charge, epsilon_of, noise_for

DELTA = 1e-5
TRAININGS = [
    Charge(0.0256, 1.0, 2000),
    Charge(0.0032, 0.8, 15_600),
    Charge(0.128, 3.7, 400),
    Charge(0.5, 10.0, 500),
]


@pytest.mark.filterwarnings("ignore:Optimal order is the largest")
@pytest.mark.parametrize("charge", TRAININGS)
def test_epsilon_is_opacus_s(charge: Charge) -> None:
    """PRV (Gopi et al. 2021) bounds the same from the same side within its own error; RDP lies above both."""
    from opacus.accountants import PRVAccountant, RDPAccountant

    ours = epsilon_of([charge], DELTA)
    theirs = []
    for accountant in (PRVAccountant(), RDPAccountant()):
        accountant.history = [(charge.noise, charge.rate, charge.steps)]
        theirs.append(accountant.get_epsilon(DELTA))
    assert ours == pytest.approx(theirs[0], abs=0.02)
    assert theirs[1] * 0.85 < ours < theirs[1]


def delta_of_one_step(rate: float, noise: float, epsilon: float) -> float:
    """The hockey-stick divergence of one release, of both directions the larger; the likelihood ratio rises with x."""

    def where(ratio: float) -> float:
        return 0.5 + noise**2 * math.log((ratio - 1 + rate) / rate)

    def tail(x: float, side: int) -> tuple[float, float]:
        near, far = stats.norm.cdf(side * x / noise), stats.norm.cdf(side * (x - 1) / noise)
        return (1 - rate) * near + rate * far, near

    mixed, near = tail(where(math.exp(epsilon)), -1)
    delta = mixed - math.exp(epsilon) * near
    if math.exp(-epsilon) > 1 - rate:
        mixed, near = tail(where(math.exp(-epsilon)), 1)
        delta = max(delta, near - math.exp(epsilon) * mixed)
    return float(delta)


@pytest.mark.parametrize(("rate", "noise"), [(0.1, 1.0), (0.5, 2.0), (1.0, 1.5)])
def test_one_step_is_the_closed_form(rate: float, noise: float) -> None:
    exact = optimize.brentq(lambda e: delta_of_one_step(rate, noise, e) - DELTA, 0.0, 20.0)
    assert exact - 1e-6 <= epsilon_of([Charge(rate, noise, 1)], DELTA) <= exact + 0.005


def test_releases_to_all_are_one_with_less_noise() -> None:
    """Balle and Wang 2018, arXiv 1805.06530, eq. 6."""

    def delta(epsilon: float) -> float:
        mu = 3 / 10.0  # nine releases with noise 10
        cdf = stats.norm.cdf
        return cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * cdf(-mu / 2 - epsilon / mu)

    exact = optimize.brentq(lambda e: delta(e) - DELTA, 0.0, 20.0)
    assert epsilon_of([Charge(1.0, 10.0, 4), Charge(1.0, 10.0, 5)], DELTA) == pytest.approx(exact, abs=0.01)


def test_more_costs_more_and_nothing_costs_nothing() -> None:
    first, second = TRAININGS[0], Charge(1.0, 10.0, 1)
    assert epsilon_of([], DELTA) == 0
    alone, both = epsilon_of([first], DELTA), epsilon_of([first, second], DELTA)
    assert alone < both < alone + epsilon_of([second], DELTA)
    assert both == pytest.approx(epsilon_of([second, first], DELTA), abs=1e-6)


def test_what_no_budget_would_cover_is_infinite_at_once() -> None:
    assert epsilon_of([Charge(1.0, 0.2, 10**9)], DELTA) == math.inf
    assert epsilon_of([Charge(0.5, 0.2, 10**9)], DELTA) == math.inf


@pytest.mark.parametrize("epsilon", [8.0, 3.0, 1.0])
def test_noise_is_the_least_that_keeps_to_epsilon(epsilon: float) -> None:
    noise = noise_for(epsilon, DELTA, 0.0256, 2000)
    assert epsilon_of([Charge(0.0256, noise, 2000)], DELTA) <= epsilon
    assert epsilon_of([Charge(0.0256, noise * 0.995, 2000)], DELTA) > epsilon
