"""Curves from counts, against the same curves from every encounter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, roc_curve

from common.statistics.decision import decision_curve
from server.report.counts import Counts, counts_of, net_benefit, over_seeds, precision, roc

LOWS, N, POSITIVE = [0.0, 0.2, 0.6], [10, 10, 10], [1, 4, 8]
COUNTS = Counts(np.array([*LOWS, 1.0]), np.array(N, float), np.array(POSITIVE, float))
SCORES = np.repeat(LOWS, N)  # as if everybody had the lowest probability of his range
LABELS = np.concatenate([[1] * p + [0] * (n - p) for n, p in zip(N, POSITIVE, strict=True)])


def test_roc_goes_through_the_points_of_the_ranges() -> None:
    false, true, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    assert roc(COUNTS, false) == pytest.approx(true)
    assert roc(COUNTS, np.array([1 / 17])) == pytest.approx(
        [4 / 13]
    )  # half of the way to the first, 2 of 17 and 8 of 13


def test_precision_at_the_ranges_and_between_them() -> None:
    found = np.array([8, 12, 13]) / 13
    exact = [precision_score(LABELS, low <= SCORES) for low in LOWS[::-1]]
    assert precision(COUNTS, found) == pytest.approx(exact)
    assert precision(COUNTS, np.array([0.0])) == pytest.approx([0.8])
    assert precision(COUNTS, np.array([10 / 13])) == pytest.approx([10 / 15])  # 8 + 2 true, 2 + 3 false: not the mean


def test_net_benefit_is_exact_at_edges_and_ends_with_them() -> None:
    edges = np.array([0.2, 0.6])
    assert net_benefit(COUNTS, edges) == pytest.approx(decision_curve(LABELS, SCORES, edges).model)
    assert net_benefit(COUNTS, np.array([0.0])) == pytest.approx([13 / 30])
    assert np.isnan(net_benefit(COUNTS, np.array([0.61]))).all()


def test_bands_are_of_seeds_and_nothing_where_a_seed_ends() -> None:
    other = Counts(np.array([0.0, 0.4, 1.0]), np.array([15.0, 15.0]), np.array([3.0, 10.0]))
    mean, low, high = over_seeds(net_benefit, [COUNTS, other], np.array([0.2, 0.5]))
    each = [net_benefit(counts, np.array([0.2]))[0] for counts in (COUNTS, other)]
    assert (mean[0], low[0], high[0]) == pytest.approx((sum(each) / 2, min(each), max(each)))
    assert np.isnan([mean[1], low[1], high[1]]).all()


def test_rows_are_taken_in_the_order_of_probabilities() -> None:
    rows = pd.DataFrame({"bin_low": [0.5, 0.0], "bin_high": [1.0, 0.5], "n": [20, 30], "positive": [11, 12]})
    counts = counts_of(rows)
    assert counts.edges.tolist() == [0.0, 0.5, 1.0]
    assert counts.n.tolist() == [30, 20]


def test_one_class_has_no_curve() -> None:
    assert COUNTS.both
    assert not Counts(np.array([0.0, 1.0]), np.array([5.0]), np.array([5.0])).both
