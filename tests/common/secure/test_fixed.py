"""Fixed point: sums are exact, their error is as stated, and nothing can overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.secure.fixed import MOST_CHANGE, MOST_ENCOUNTERS, OutOfRangeError, Update, decode, encode
from common.secure.rules import MOST

changes = st.lists(st.floats(-MOST_CHANGE, MOST_CHANGE), min_size=3, max_size=3)
sites = st.tuples(changes, st.integers(1, MOST_ENCOUNTERS), st.floats(0, 1), st.integers(0, MOST_ENCOUNTERS))


def update(site: tuple[list[float], int, float, int]) -> Update:
    return Update(np.array(site[0]), site[1], site[2], site[3])


@given(st.lists(sites, min_size=1, max_size=8))
def test_the_mean_is_that_of_the_updates(given: list[tuple[list[float], int, float, int]]) -> None:
    updates = [update(site) for site in given]
    total = decode(sum((encode(each) for each in updates), np.zeros(6, np.uint64)), len(updates))
    encounters = sum(each.encounters for each in updates)
    exact = sum(each.change * each.encounters for each in updates) / encounters
    bound = len(updates) * 2.0**-27 / encounters + MOST_CHANGE * 2.0**-48  # as stated, and what float64 rounds
    assert np.abs(total.change - exact).max() <= bound
    assert total.encounters == encounters
    scored = sum(each.scored for each in updates)
    assert total.scored == scored
    if scored:
        mean = sum(each.score * each.scored for each in updates) / scored
        assert total.score == pytest.approx(mean, abs=len(updates) * 2.0**-27 / scored + 1e-12)


@given(st.lists(sites, min_size=2, max_size=6), st.randoms())
def test_the_order_does_not_matter(given: list[tuple[list[float], int, float, int]], random) -> None:  # type: ignore[no-untyped-def]
    words = [encode(update(site)) for site in given]
    first = np.sum(words, axis=0, dtype=np.uint64)
    random.shuffle(words)
    assert np.array_equal(first, np.sum(words, axis=0, dtype=np.uint64))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_sum_overflows(sign: float) -> None:
    most = encode(Update(np.array([sign * MOST_CHANGE]), MOST_ENCOUNTERS, 1.0, MOST_ENCOUNTERS))
    total = decode(np.sum([most] * MOST, axis=0, dtype=np.uint64), MOST)
    assert total.change == sign * MOST_CHANGE
    assert total.encounters == MOST * MOST_ENCOUNTERS
    assert total.score == 1.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Update(np.array([64.1]), 5), "a weight moved by 64.1; in a secure sum at most 64"),
        (Update(np.array([-64.1]), 5), "a weight moved by 64.1"),
        (Update(np.array([np.nan]), 5), "a weight moved by nan"),
        (Update(np.array([np.inf]), 5), "a weight moved by inf"),
        (Update(np.array([0.1]), 0), "more encounters than 16,777,216, or none"),
        (Update(np.array([0.1]), 2**24 + 1), "more encounters than"),
        (Update(np.array([0.1]), 5, 0.5, 2**24 + 1), "more encounters than"),
        (Update(np.array([0.1]), 5, 1.5, 5), "a score that is not between 0 and 1"),
        (Update(np.array([0.1]), 5, float("nan"), 5), "a score that is not"),
    ],
)
def test_what_is_out_of_range_stays(wrong: Update, words: str) -> None:
    with pytest.raises(OutOfRangeError, match=words):
        encode(wrong)


def test_a_sum_with_a_mask_on_it_is_told() -> None:
    words = encode(Update(np.array([0.5, 0.25]), 10))
    assert decode(words, 1).encounters == 10
    generator = np.random.default_rng(5)
    for _ in range(200):
        with pytest.raises(WireError, match="none that sites within their bounds can give"):
            decode(words + generator.integers(0, 2**64, 5, dtype=np.uint64), 1)
