"""The audit by planted patients: its bound, and that it finds training without noise and clears training with it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.canaries import SAMPLED, WHOLE, audit, lower_bound


def test_the_bound_is_known_where_it_can_be_worked_out() -> None:
    """All of r right, and delta 0: epsilon with (e^epsilon / (1 + e^epsilon))^r = 0.05."""
    one = 0.05 ** (1 / 100)
    assert lower_bound(100, 100, 1000, delta=0.0) == pytest.approx(math.log(one / (1 - one)), abs=1e-6)
    assert lower_bound(50, 100, 1000) == 0
    assert lower_bound(100, 100, 1000) < lower_bound(100, 100, 1000, delta=0.0)


def test_the_bound_holds_for_randomised_response() -> None:
    """Every coin is told, turned over with probability 1 / (1 + e^epsilon): nothing gives away more at this epsilon."""
    epsilon, generator = 1.5, np.random.default_rng(1)
    right = generator.binomial(200, 1 / (1 + math.exp(-epsilon)), size=400)
    counts, place = np.unique(right, return_inverse=True)
    bounds = np.array([lower_bound(int(count), 200, 200) for count in counts])[place]
    assert 0.01 < (bounds > epsilon).mean() < 0.08  # one in twenty may
    assert np.median(bounds) > 1.1


@pytest.mark.slow
def test_no_claim_is_below_what_is_found() -> None:
    assert audit(None, SAMPLED).bound > 2
    assert audit(None, WHOLE).bound > 2
    for epsilon in (8.0, 3.0, 1.0):
        for training in (SAMPLED, WHOLE):
            found = audit(epsilon, training, seed=1)
            assert found.claimed == pytest.approx(epsilon, rel=0.01)
            assert found.bound < found.claimed
    assert audit(8.0, WHOLE).bound > 1  # the audit sees what there is
