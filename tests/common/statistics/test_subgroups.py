"""Subgroups are scored as if alone, and small ones tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from common.metrics import score
from common.statistics.delong import areas
from common.statistics.subgroups import UNKNOWN, Subgroup, by_subgroup

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1], 200))
PROBABILITIES = (LABELS + 3 * np.random.default_rng(1).random(400)) / 4


def groups(**sizes: tuple[int, int]) -> list[str | None]:
    """Names such that each has so many (negatives, positives); the rest has none."""
    names = np.full(400, None, dtype=object)
    left = [np.flatnonzero(c == LABELS).tolist() for c in (0, 1)]
    for name, counts in sizes.items():
        for members, count in zip(left, counts, strict=True):
            names[[members.pop() for _ in range(count)]] = name
    return names.tolist()


def test_each_is_scored_as_if_it_were_alone() -> None:
    names = groups(adult=(120, 100), child=(80, 100))
    found = by_subgroup(LABELS, PROBABILITIES, names, replicates=50, seed=3)
    assert [group.name for group in found] == ["adult", "child"]
    assert [(group.encounters, group.positive) for group in found] == [(220, 100), (180, 100)]
    for group in found:
        chosen = np.array(names) == group.name
        labels, probabilities = LABELS[chosen], PROBABILITIES[chosen]
        alone = score(labels, probabilities, None, 50, 3)
        assert group.scores["auroc"].value == pytest.approx(roc_auc_score(labels, probabilities))
        assert group.scores["auroc"] == areas(labels, probabilities).estimates()[0]
        assert {name: value for name, value in group.scores.items() if name != "auroc"} == {
            name: value for name, value in alone.items() if name != "auroc"
        }


def test_a_group_with_too_few_of_a_class_tells_nothing_of_itself() -> None:
    found = by_subgroup(LABELS, PROBABILITIES, groups(adult=(150, 150), child=(30, 10), old=(20, 40)), 11)
    small, large = found[1], found[0]
    assert small == Subgroup("child", True)
    # 400 encounters less 300 and 60 would tell that 10 children were positive: no counts at all
    assert large.encounters is None
    assert large.positive is None
    assert large.scores["auroc"].value > 0.5
    assert not large.too_few


def test_counts_are_told_where_those_of_small_groups_stay_hidden() -> None:
    found = by_subgroup(LABELS, PROBABILITIES, groups(adult=(150, 150), child=(25, 8), old=(25, 42)), 20)
    assert [(group.name, group.encounters) for group in found] == [("adult", None), ("child", None), ("old", None)]
    two = by_subgroup(LABELS, PROBABILITIES, groups(adult=(150, 150), child=(40, 9), old=(10, 41)), 11)
    assert [(group.name, group.encounters) for group in two] == [("adult", 300), ("child", None), ("old", None)]


def test_exactly_the_limit_is_enough() -> None:
    found = by_subgroup(LABELS, PROBABILITIES, groups(adult=(189, 189), child=(11, 11)), 11)
    assert [group.too_few for group in found] == [False, False]
    assert found[1].encounters == 22


def test_a_missing_label_is_unknown_and_a_number_is_a_name() -> None:
    names: list[object] = [2019 if at % 2 else (None, float("nan"))[at % 4 == 0] for at in range(400)]
    assert [group.name for group in by_subgroup(LABELS, PROBABILITIES, names)] == ["2019", UNKNOWN]


def test_a_group_of_one_class_has_no_scores_even_without_a_limit() -> None:
    found = by_subgroup(LABELS, PROBABILITIES, groups(adult=(200, 199), child=(0, 1)), min_cell=0)
    assert found[1] == Subgroup("child", True)
    assert found[0].encounters == 399
