"""Shares of a secret: enough of them give it, one fewer fits every secret."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.secure.shares import PRIME, from_text, join, split, to_text

numbers = st.integers(0, PRIME - 1)


def test_by_hand() -> None:
    """The line 5 + 3 x at 1, 2 and 3; and the parabola 1 + x + x ** 2."""
    assert split(5, [3], 3) == [8, 11, 14]
    assert join({1: 8, 3: 14}) == 5
    assert split(1, [1, 1], 4) == [3, 7, 13, 21]
    assert join({1: 3, 2: 7, 4: 21}) == 1


def test_the_field_is_one() -> None:
    """A number that is no prime would leave some shares without an inverse (Miller-Rabin, 64 bases)."""
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in random.Random(0).sample(range(2, 10**6), 64):
        powers = [pow(base, odd * 2**k, PRIME) for k in range(twos)]
        assert powers[0] == 1 or PRIME - 1 in powers


@given(numbers, st.lists(numbers, min_size=2, max_size=4), st.integers(0, 3))
def test_any_enough_shares_give_the_secret(secret: int, coefficients: list[int], more: int) -> None:
    needed = len(coefficients) + 1
    shares = dict(enumerate(split(secret, coefficients, needed + more), start=1))
    for chosen in combinations(shares, needed):
        assert join({x: shares[x] for x in chosen}) == secret
    assert join(shares) == secret  # more than enough


@given(numbers, numbers, numbers, numbers)
def test_too_few_shares_fit_every_secret(secret: int, first: int, second: int, other: int) -> None:
    """To two shares of three that are needed there is a third one for any secret whatever."""
    shares = split(secret, [first, second], 3)
    # the parabola through (0, other), (1, shares[0]), (2, shares[1]), at 3
    third = (other - 3 * shares[0] + 3 * shares[1]) % PRIME
    assert join({1: shares[0], 2: shares[1], 3: third}) == other


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="outside of the field"):
        split(PRIME, [1], 3)
    with pytest.raises(ValueError, match="outside of the field"):
        split(1, [-1], 3)
    with pytest.raises(ValueError, match="2 shares of a secret that needs 3"):
        split(1, [1, 1], 2)


@given(numbers)
def test_as_text(number: int) -> None:
    assert len(to_text(number)) == 64
    assert from_text(to_text(number)) == number


@pytest.mark.parametrize("text", ["", "ab", "z" * 64, "f" * 64, 5, None, "f" * 63, "0" * 66])
def test_no_number(text: object) -> None:
    with pytest.raises(ValueError, match=r"hexadecimal|not a number"):
        from_text(text)
