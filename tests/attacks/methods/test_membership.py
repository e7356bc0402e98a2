"""Membership attacks against what they must give: on models made by hand, and by another way of computing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attacks.judging import estimate, power
from attacks.methods import lira, loss


def drawn(models: int, encounters: int, gap: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Margins with a level of each encounter's own, higher by `gap` where it is a member."""
    generator = np.random.default_rng(seed)
    members = generator.random((models, encounters)) < 0.5
    level = generator.normal(0, 3, encounters)
    return level + gap * members + generator.normal(0, 0.5, members.shape), members


@pytest.mark.parametrize("models", [12, 60], ids=["one spread for all", "spreads of their own"])
def test_lira_is_the_ratio_of_two_normal_densities(models: int) -> None:
    margins, members = drawn(models, 5, 0.4)
    found = lira.scores(margins, members)
    k, i = 3, 2
    others = [j for j in range(models) if j != k]
    kinds = [[[margins[j, n] for j in others if members[j, n] == kind] for n in range(5)] for kind in (True, False)]
    spreads = [np.std(kind[i], ddof=1) for kind in kinds]
    if models == 12:
        spreads = [np.sqrt(sum((len(x) - 1) * np.var(x, ddof=1) for x in kind) / sum(len(x) - 1 for x in kind))
                   for kind in kinds]  # fmt: skip
    pairs = zip(kinds, spreads, strict=True)
    inside, outside = (stats.norm(np.mean(kind[i]), spread).logpdf(margins[k, i]) for kind, spread in pairs)
    assert found[k, i] == pytest.approx(inside - outside, rel=1e-9)


def test_encounters_that_do_not_count_shadow_nothing() -> None:
    margins, members = drawn(30, 8, 1.0)
    counted = np.random.default_rng(2).random(members.shape) < 0.8
    wild = np.where(counted, margins, 1e6)
    found, same = lira.scores(wild, members, counted), lira.scores(margins, members, counted)
    np.testing.assert_array_equal(found[counted], same[counted])


def test_lira_knows_what_is_hard_in_any_case_and_a_threshold_does_not() -> None:
    margins, members = drawn(64, 200, 1.0)
    everything = np.ones_like(members)
    ratio = power(lira.scores(margins, members), members, everything, 1, 50)
    plain = power(loss.scores(loss.losses(margins)), members, everything, 1, 50)
    # two normals a gap of two standard deviations apart: AUC is the normal distribution's at sqrt(2)
    assert ratio.auc[0] == pytest.approx(stats.norm.cdf(np.sqrt(2)), abs=0.015)
    assert plain.auc[0] < 0.62


def test_models_that_remember_nothing_are_told_apart_by_chance() -> None:
    margins, members = drawn(32, 400, 0.0)
    everything = np.ones_like(members)
    for scores in (lira.scores(margins, members), loss.scores(loss.losses(margins))):
        found = power(scores, members, everything, 1, 100)
        auc, rate = estimate(found.auc), estimate(found.tpr)
        assert auc.low < 0.5 < auc.high
        assert auc.high - auc.low < 0.06
        assert rate.low <= 0.001 <= rate.high


def test_models_that_all_say_the_same_say_nothing() -> None:
    members = drawn(16, 30, 0.0)[1]
    margins = np.broadcast_to(np.linspace(-2, 2, 30), members.shape).copy()
    found = power(lira.scores(margins, members), members, np.ones_like(members), 1, 10)
    assert found.auc[0] == pytest.approx(0.5)


def test_an_encounter_that_no_shadow_model_had_scores_nothing() -> None:
    margins, members = drawn(10, 6, 1.0)
    members[:, 2] = False
    found = lira.scores(margins, members)
    assert (found[:, 2] == 0).all()
    assert np.isfinite(found).all()
    assert (found[:, 3] != 0).all()


def test_losses_by_hand() -> None:
    probability = np.array([0.5, 0.9, 0.01])
    np.testing.assert_allclose(loss.losses(np.log(probability / (1 - probability))), -np.log(probability))
    assert loss.losses(np.array([800.0, -800.0])).tolist() == [0.0, 800.0]
