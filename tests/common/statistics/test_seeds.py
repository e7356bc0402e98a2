"""Variance over seeds and patients against a population in which both are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from common.statistics.delong import Areas, areas
from common.statistics.seeds import Spread, spread

SEEDS, SHIFT = 5, 1.3


def population(generator: np.random.Generator, spread_of_seeds: float, count: int = 150) -> tuple[Areas, float]:
    """S models on one sample, and a further model's true area; scores share half their variance across models."""
    labels = np.repeat([1, 0], (count, count))
    shifts = SHIFT + spread_of_seeds * generator.normal(size=SEEDS + 1)
    shared, own = generator.normal(size=2 * count), generator.normal(size=(SEEDS, 2 * count))
    scores = labels * shifts[:SEEDS, None] + np.sqrt(0.5) * (shared + own)
    return areas(labels, scores), float(norm.cdf(shifts[-1] / np.sqrt(2)))


@pytest.mark.parametrize("spread_of_seeds", [0.0, 0.1, 0.4])
def test_intervals_cover_what_they_say(spread_of_seeds: float) -> None:
    generator = np.random.default_rng(7)
    true_mean = norm.cdf(SHIFT / np.sqrt(2 + spread_of_seeds**2))
    recipe, models, further = [], [], []
    for _ in range(600):
        several, new = population(generator, spread_of_seeds)
        found = spread(several)
        recipe.append(found.recipe().low <= true_mean <= found.recipe().high)
        models.append(found.models().low <= true_mean <= found.models().high)
        further.append(found.new_seed().low <= new <= found.new_seed().high)
    assert 0.93 <= np.mean(recipe) <= 0.985
    assert 0.92 <= np.mean(further) <= 0.985
    if spread_of_seeds == 0.4:
        assert np.mean(models) < 0.8  # who leaves the seeds out claims too much


def test_parts_of_the_variance_are_those_of_the_population() -> None:
    generator = np.random.default_rng(3)
    found = [spread(population(generator, 0.2)[0]) for _ in range(800)]
    shifts = SHIFT + 0.2 * generator.normal(size=100_000)
    assert np.mean([each.seed for each in found]) == pytest.approx(norm.cdf(shifts / np.sqrt(2)).var(), rel=0.1)
    total = np.mean([each.patients + each.seed / SEEDS for each in found])
    assert total == pytest.approx(np.var([each.value for each in found]), rel=0.1)


def test_a_spread_by_hand() -> None:
    # own variance 4, shared 1: of the variance 8 of the scores (2, 6) patients explain 3
    several = Areas(np.array([2.0, 6.0]), np.linalg.cholesky(np.array([[4.0, 1.0], [1.0, 4.0]])))
    found = spread(several)
    assert found == Spread(2, 4.0, pytest.approx(2.5), pytest.approx(5.0), pytest.approx(8.0))
    # over patients and seeds: 2.5 + 5 / 2 = 5 = 1 + 8 / 2; of this 4 is known with one degree of freedom: 25 / 16
    assert found.recipe("plain").high == pytest.approx(4 + np.sqrt(5) * student.ppf(0.975, 25 / 16))
    # a further seed: 2.5 + 5 * 1.5 = 10, and 8 * 1.5 = 12: 100 / 144 degrees of freedom
    assert found.new_seed("plain").high == pytest.approx(4 + np.sqrt(10) * student.ppf(0.975, 100 / 144))
    assert found.models("plain").high == pytest.approx(4 + np.sqrt(2.5) * 1.959964)


def test_seeds_that_vary_less_than_patients_explain_have_no_variance_of_their_own() -> None:
    several = Areas(np.array([0.7, 0.7]), np.linalg.cholesky(np.array([[4.0, 1.0], [1.0, 4.0]]) / 1000))
    found = spread(several)
    assert found.seed == 0
    assert found.recipe() == found.models() == found.new_seed()


def test_one_seed_tells_of_patients_only() -> None:
    several = areas(np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.5, 0.4, 0.6, 0.8]))
    found = spread(several)
    models, alone = found.models(), several.estimates()[0]
    assert (models.value, models.low, models.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert np.isnan(found.seed)
    assert np.isnan(found.recipe().low)
