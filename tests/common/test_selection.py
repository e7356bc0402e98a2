"""The best candidate is kept; stopping early."""

from __future__ import annotations

import math

from common.selection import BestKept


def test_the_first_of_the_best_is_kept() -> None:
    best: BestKept[str] = BestKept()
    for score, name in [(0.5, "a"), (0.8, "b"), (0.8, "c"), (0.7, "d")]:
        best.consider(score, name)
    assert (best.weights, best.score, best.at) == ("b", 0.8, 2)
    assert not best.exhausted


def test_without_scores_the_last_is_kept() -> None:
    best: BestKept[str] = BestKept()
    for score, name in [(None, "a"), (math.nan, "b")]:
        best.consider(score, name)
    assert best.weights == "b"


def test_patience_counts_candidates_without_improvement() -> None:
    best: BestKept[int] = BestKept(patience=2)
    seen = []
    for number, score in enumerate([0.5, 0.6, 0.6, 0.59]):
        best.consider(score, number)
        seen.append(best.exhausted)
    assert seen == [False, False, False, True]
