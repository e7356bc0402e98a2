"""Random numbers: how they are spread, and that nobody draws them again."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from client.privacy.randomness import Randomness

KEY = bytes(range(32))


def test_normal_numbers_are_normal_and_independent() -> None:
    drawn = Randomness(KEY).normal(100_001).numpy()
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:50_000], drawn[50_001:])[0, 1]) < 0.02  # the two of a pair
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02
    assert drawn.dtype == np.float64
    assert np.isfinite(drawn).all()


def test_uniform_numbers_are_uniform() -> None:
    drawn = Randomness(KEY).uniform(100_000)
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_a_key_draws_the_same_again_and_no_key_never_does() -> None:
    assert torch.equal(Randomness(KEY).normal(3, 4), Randomness(KEY).normal(3, 4))
    torch.manual_seed(0)
    np.random.seed(0)
    first = Randomness().normal(8)
    torch.manual_seed(0)
    np.random.seed(0)
    assert not torch.equal(first, Randomness().normal(8))


def test_a_stream_goes_on() -> None:
    stream = Randomness(KEY)
    assert not np.array_equal(stream.uniform(4), stream.uniform(4))
