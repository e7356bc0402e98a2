"""Judging against scikit-learn, and its intervals against what they must cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score, roc_curve

from attacks.judging import FALSE, estimate, power

SHAPE = (6, 40)
bools = arrays(bool, SHAPE)


@given(arrays(np.float64, SHAPE, elements=st.sampled_from([-1.5, 0.0, 0.25, 2.0, 7.0])), bools, bools)
def test_the_measured_figures_are_those_of_scikit_learn(
    scores: np.ndarray, yes: np.ndarray, counted: np.ndarray
) -> None:
    own, truth = scores[counted], yes[counted]
    if not counted.any():
        return
    found = power(scores, yes, counted, 1, 3)
    if truth.all() or not truth.any():
        assert np.isnan(found.auc[0])
        return
    assert found.auc[0] == pytest.approx(roc_auc_score(truth, own))
    false, true, _ = roc_curve(truth, own, drop_intermediate=False)
    assert found.tpr[0] == pytest.approx(true[false <= FALSE].max())


def test_one_false_positive_in_a_thousand_is_allowed_and_two_are_not() -> None:
    scores = np.concatenate([np.arange(10.0), np.full(995, -1.0)])[None]
    yes = np.zeros(scores.shape, dtype=bool)
    yes[0, [9, 8, 6, 5, 3]] = True  # from above: yes yes no yes yes no yes no no no, and 995 no
    everything = np.ones_like(yes)
    assert power(scores, yes, everything, 1, 1).tpr[0] == pytest.approx(4 / 5)


def test_attacks_of_one_seed_are_judged_on_the_same_draws() -> None:
    generator = np.random.default_rng(1)
    scores, yes = generator.random((8, 30)), generator.random((8, 30)) < 0.5
    everything = np.ones_like(yes)
    one, same = power(scores, yes, everything, 4, 20), power(scores * 3 - 1, yes, everything, 4, 20)
    np.testing.assert_array_equal(one.auc, same.auc)
    assert (power(scores, yes, everything, 5, 20).auc[1:] != one.auc[1:]).any()


def test_the_interval_covers_models_and_encounters_that_come_in_clusters() -> None:
    """Scores that share a model's and an encounter's luck: 40 data sets, of which most intervals hold the truth."""
    hits = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        yes = generator.random((12, 60)) < 0.5
        luck = generator.normal(0, 1, (12, 1)) * yes + generator.normal(0, 1, (1, 60))
        found = estimate(power(luck + generator.normal(0, 1, yes.shape), yes, np.ones_like(yes), 1, 100).auc)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 36
