from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from common.curve import BINS, Bin, curve_of


def test_counts_by_hand() -> None:
    probabilities = np.array([0.1, 0.1, 0.2, 0.30004, 0.3, 0.9, 0.9, 0.95])
    labels = np.array([0, 1, 0, 0, 1, 1, 0, 1])
    assert curve_of(labels, probabilities, 1) == [Bin(0.0, 2, 1), Bin(0.2, 3, 1), Bin(0.9, 3, 2)]
    assert curve_of(labels, probabilities, 2) == [Bin(0.0, 8, 4)]  # what is above 0.9 has too few negatives


def test_too_few_of_a_class_give_nothing() -> None:
    assert curve_of(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3]), 2) == []


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=300),
    st.integers(1, 12),
)
def test_every_bin_has_enough_of_each_class(rows: list[tuple[bool, float]], min_cell: int) -> None:
    labels = np.array([int(label) for label, _ in rows])
    bins = curve_of(labels, np.array([value for _, value in rows]), min_cell)
    assert len(bins) <= BINS
    assert all(min(one.positive, one.n - one.positive) >= min_cell for one in bins)
    lows = [one.low for one in bins]
    assert lows == sorted(set(lows))
    if min(labels.sum(), len(labels) - labels.sum()) >= min_cell:
        assert lows[0] == 0.0
        assert (sum(one.n for one in bins), sum(one.positive for one in bins)) == (len(labels), labels.sum())
    else:
        assert bins == []


def test_the_curve_keeps_the_area() -> None:
    rng = np.random.default_rng(215)
    labels = rng.integers(0, 2, 5000)
    probabilities = 1 / (1 + np.exp(-rng.normal(labels * 1.5 - 1, 1)))
    bins = curve_of(labels, probabilities, 11)
    repeated = np.repeat(np.arange(len(bins)), [one.n for one in bins])
    each = np.concatenate([np.repeat([1, 0], [one.positive, one.n - one.positive]) for one in bins])
    assert len(bins) in (BINS - 1, BINS)
    assert roc_auc_score(each, repeated) == pytest.approx(roc_auc_score(labels, probabilities), abs=0.005)
