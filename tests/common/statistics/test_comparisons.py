"""Adjusted p-values against closed testing and published figures; tables of paired tests against single ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.statistics.comparisons import adjusted, benjamini_hochberg, compare, holm, paired_tests
from common.statistics.delong import areas, difference

# Benjamini and Hochberg 1995: 15 endpoints of Neuhaus et al. 1992
ENDPOINTS = np.array(
    [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1]
)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(np.array)


def frame(seed: int, cells: list[str], seeds: int) -> tuple[np.ndarray, pd.DataFrame]:  # type: ignore[type-arg]
    """Scores by cell and seed, the later cells the better; the seeds not in order."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(300) < 0.4).astype(np.int64)
    shared = generator.normal(size=300)
    columns = [(cell, 100 - at) for at in range(seeds) for cell in cells]
    scores = {
        (cell, number): shared
        + generator.normal(size=300)
        + labels * generator.normal(0.5 + 0.5 * cells.index(cell), 0.4)
        for cell, number in columns
    }
    return labels, pd.DataFrame(scores)


@settings(max_examples=60, deadline=None)
@given(p=P_VALUES)
def test_holm_is_the_closure_of_bonferroni(p: np.ndarray) -> None:  # type: ignore[type-arg]
    """A hypothesis falls when Bonferroni rejects every set that it is in: its p is the greatest over these sets."""
    everyone = range(len(p))
    sets = [list(chosen) for size in range(1, len(p) + 1) for chosen in combinations(everyone, size)]
    direct = [max(min(1.0, len(chosen) * p[chosen].min()) for chosen in sets if at in chosen) for at in everyone]
    np.testing.assert_allclose(holm(p), direct, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(p=P_VALUES, alpha=st.floats(0.01, 0.5))
def test_benjamini_hochberg_rejects_by_the_step_up_rule(p: np.ndarray, alpha: float) -> None:  # type: ignore[type-arg]
    ordered = np.sort(p)
    passing = np.flatnonzero(ordered <= alpha * np.arange(1, len(p) + 1) / len(p))
    limit = ordered[passing[-1]] if len(passing) else -1.0
    found = benjamini_hochberg(p)
    clear = np.abs(found - alpha) > 1e-12  # at the limit itself rounding decides
    assert ((found <= alpha) == (p <= limit))[clear].all()


def test_the_published_example_rejects_three_and_four() -> None:
    assert (holm(ENDPOINTS) <= 0.05).sum() == 3
    assert (benjamini_hochberg(ENDPOINTS) <= 0.05).sum() == 4
    assert (adjusted(ENDPOINTS, "holm") == holm(ENDPOINTS)).all()


def test_an_unknown_p_stays_unknown_and_does_not_count() -> None:
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjusted(p), [0.02, np.nan, 0.04])
    np.testing.assert_allclose(adjusted(p, "benjamini-hochberg"), [0.02, np.nan, 0.04])
    assert len(adjusted(np.array([]), "benjamini-hochberg")) == 0


def test_cells_with_one_model_are_compared_by_delong() -> None:
    labels, scores = frame(1, ["a", "b", "c"], 1)
    flat = scores.droplevel(1, axis=1)
    table = paired_tests(labels, flat)
    several = areas(labels, flat.to_numpy().T)
    assert table[["first", "second"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    for row, (i, j) in zip(table.itertuples(), combinations(range(3), 2), strict=True):
        expected = difference(several, i, j)
        assert (row.difference, row.low, row.high) == (expected.value, expected.low, expected.high)
        assert (row.z, row.p, row.df, row.error) == (expected.z, expected.p, np.inf, expected.error)
        assert (row.auroc_first, row.auroc_second) == (several.values[i], several.values[j])
    np.testing.assert_array_equal(table["p_adjusted"], holm(table["p"].to_numpy()))
    pd.testing.assert_frame_equal(paired_tests(labels, scores), table)


def test_seeds_are_paired_and_widen_the_claim_about_recipes() -> None:
    labels, scores = frame(2, ["a", "b"], 4)
    recipes, models = (paired_tests(labels, scores, [("b", "a")], seeds=about).iloc[0] for about in (True, False))
    apart = [np.subtract(*areas(labels, scores[[("b", n), ("a", n)]].to_numpy().T).values) for n in (97, 98, 99, 100)]
    assert recipes["difference"] == pytest.approx(np.mean(apart))
    assert recipes["difference"] == models["difference"]
    assert recipes["error"] > models["error"]
    assert 3 <= recipes["df"] < models["df"] == np.inf
    assert models["error"] ** 2 == pytest.approx(_direct_variance(labels, scores))


def _direct_variance(labels: np.ndarray, scores: pd.DataFrame) -> float:  # type: ignore[type-arg]
    weights = np.concatenate([np.full(4, 0.25), np.full(4, -0.25)])
    covariance = areas(labels, np.concatenate([scores["b"].to_numpy(), scores["a"].to_numpy()], axis=1).T).covariance
    return float(weights @ covariance @ weights)


def test_seeds_are_matched_by_name_whatever_the_order_of_columns() -> None:
    labels, scores = frame(3, ["a", "b"], 4)
    turned = scores[scores.columns[np.random.default_rng(0).permutation(8)]]
    pairs = [("a", "b")]
    pd.testing.assert_frame_equal(paired_tests(labels, turned, pairs), paired_tests(labels, scores, pairs), atol=1e-14)


def test_only_chosen_pairs_count_for_the_correction() -> None:
    labels, scores = frame(4, ["a", "b", "c"], 1)
    one = paired_tests(labels, scores, [("c", "a")])
    assert one["p_adjusted"][0] == one["p"][0]
    assert one["difference"][0] > 0
    by_rate = paired_tests(labels, scores, correction="benjamini-hochberg")
    np.testing.assert_allclose(by_rate["p_adjusted"], benjamini_hochberg(by_rate["p"].to_numpy()))


def test_cells_with_other_seeds_are_refused() -> None:
    labels, scores = frame(5, ["a", "b"], 2)
    other = scores.set_axis(pd.MultiIndex.from_tuples([("a", 100), ("b", 100), ("a", 99), ("b", 7)]), axis=1)
    with pytest.raises(ValueError, match="a and b have different seeds"):
        paired_tests(labels, other)
    with pytest.raises(ValueError, match="a has 2 models and b 1"):
        compare(areas(labels, scores.to_numpy().T), {"a": [0, 2], "b": [1]})


def test_where_nothing_differs_one_claim_in_twenty_is_false() -> None:
    """400 pairs of equally good models, five seeds each, both kinds of spread: p below 0.05 in about 5 %."""
    generator = np.random.default_rng(6)
    labels = np.repeat([1, 0], (60, 60))
    false = []
    for _ in range(400):
        shifts = 1 + 0.2 * generator.normal(size=10)
        scores = generator.normal(size=120) + generator.normal(size=(10, 120)) + labels * shifts[:, None]
        table = compare(areas(labels, scores), {"a": range(5), "b": range(5, 10)})
        false.append(table["p"][0] < 0.05)
    assert 0.02 <= np.mean(false) <= 0.08
