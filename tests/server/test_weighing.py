"""How much sources count, by hand; and how like a target they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import Aggregation
from common.errors import ConfigError
from common.figures import WEIGHT
from common.shape import ModelShape
from common.tasks import Answer
from server.aggregation import flower_strategy
from server.likeness import Near, weigh
from server.weighing import UNWEIGHTED, counted, prevalences, shares

ANSWERS = {site: Answer("ok", site, {WEIGHT: count}) for site, count in (("a", 10.0), ("b", 30.0))}
NEAR = {"a": Near(0.0, 1.0), "b": Near(0.5, 0.25)}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("size", {"a": 0.25, "b": 0.75}), ("equal", {"a": 0.5, "b": 0.5}), ("likeness", {"a": 4 / 7, "b": 3 / 7})],
)
def test_shares_by_hand(weights: str, expected: dict[str, float]) -> None:
    aggregation = Aggregation.model_validate({"weights": weights})
    counts = counted(aggregation, ANSWERS, NEAR)
    assert shares(aggregation, counts) == pytest.approx(expected)
    assert [answer.figures[WEIGHT] for answer in ANSWERS.values()] == [10, 30]  # they are as they came


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_a_strategy_that_does_not_weigh(name: str) -> None:
    assert shares(Aggregation(name=name), ANSWERS) == {}
    with pytest.raises(ConfigError, match=f"aggregation.weights is 'equal', but {name} does not weigh sources"):
        flower_strategy(Aggregation(name=name, weights="equal"), 4)


def test_distances_and_factors_by_hand() -> None:
    means = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])  # the last is the target
    distances, factors = weigh(means, np.zeros(4))
    np.testing.assert_allclose(distances, [0, 1, 4])
    # between all pairs: 1, 4, 0, 5, 1, 4; their median is 2.5
    np.testing.assert_allclose(factors, np.exp([0, -1 / 2.5, -4 / 2.5]))
    noisy, softer = weigh(means, np.array([0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(noisy, [0, 1 - 2 * (0.04 + 0.16), 4 - 2 * (0.09 + 0.16)])
    np.testing.assert_allclose(softer, np.exp([0, -0.6 / 2.5, -3.5 / 2.5]))


def test_sites_that_are_all_alike_count_alike() -> None:
    distances, factors = weigh(np.ones((4, 3)), np.zeros(4))
    assert (distances.tolist(), factors.tolist()) == ([0, 0, 0], [1, 1, 1])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0, 3), st.floats(0.001, 1000))
def test_the_nearest_counts_most_and_something_always_counts(seed: int, sources: int, noise: float, far: float) -> None:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(sources + 1, 32))
    means[-1] += far  # sources that are near each other, and all far from the target
    distances, factors = weigh(means, np.full(sources + 1, noise))
    assert factors.max() == 1
    assert (factors >= 0).all()
    assert factors[distances.argmin()] == 1
    order = np.argsort(distances)
    assert (np.diff(factors[order]) <= 0).all()


def test_distances_are_right_on_average_whatever_the_noise() -> None:
    rng = np.random.default_rng(0)
    means, noises = np.zeros((2, 32)), np.array([0.05, 0.1])
    means[0, 0] = 1.0
    found = [weigh(means + rng.normal(size=(2, 32)) * noises[:, None], noises)[0][0] for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.02)


def told(**figures: float) -> Answer:
    return Answer("ok", "a", {f"validation.{name.replace('_', '.')}": value for name, value in figures.items()})


def test_prevalences_by_hand() -> None:
    at_home = {"a": told(n=10, positive=1), "b": told(n=30, positive=15), "c": told()}
    assert prevalences(ModelShape(), at_home, {"a": 0.25, "b": 0.75}) == pytest.approx((0.25 * 0.1 + 0.75 * 0.5,))
    assert prevalences(ModelShape(), at_home, {}) == pytest.approx((0.3,))
    assert prevalences(ModelShape(), {"c": told()}, {"c": 1.0}) is None
    virus = ModelShape(classes=("flu", "rsv", "none"))
    each = {
        "flu_n": 10.0,
        "flu_positive": 2.0,
        "rsv_n": 10.0,
        "rsv_positive": 3.0,
        "none_n": 10.0,
        "none_positive": 5.0,
    }
    assert prevalences(virus, {"a": told(**each)}, {}) == (0.2, 0.3, 0.5)
    del each["rsv_positive"]
    assert prevalences(virus, {"a": told(**each)}, {}) is None
