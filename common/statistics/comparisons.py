"""Paired tests between cells of a study on the same test set, corrected for how many there are.

A cell is one recipe; it has one column of scores, or one for each seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from common.metrics import Floats, Integers
from common.statistics.delong import Areas, areas
from common.statistics.seeds import spread

Correction = Literal["holm", "benjamini-hochberg"]
Pairs = Sequence[tuple[str, str]]


def holm(p: Floats) -> Floats:
    """Give p-values adjusted for the chance of one false claim or more (Holm 1979, Scand. J. Statistics 6:65)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def benjamini_hochberg(p: Floats) -> Floats:
    """Give p-values adjusted for the share of false claims (Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289)."""
    return np.asarray(false_discovery_control(p, method="bh"), dtype=np.float64) if len(p) else p


def adjusted(p: Floats, correction: Correction = "holm") -> Floats:
    """Adjust p-values, float64 of any length; NaN stays NaN and does not count."""
    known = ~np.isnan(p)
    result = p.astype(np.float64)
    result[known] = {"holm": holm, "benjamini-hochberg": benjamini_hochberg}[correction](result[known])
    return result


def compare(
    several: Areas,
    cells: Mapping[str, Sequence[int]],
    pairs: Pairs | None = None,
    correction: Correction = "holm",
    seeds: bool = True,
) -> pd.DataFrame:
    """Test pairs of cells from areas that are at hand.

    Parameters
    ----------
    several : Areas
        One row for each model of each cell, on the same encounters; AUROCs or macro averages of them.
    cells : mapping of str to sequence of int
        A cell's rows, in the order of its seeds.
    pairs : sequence of (str, str) or None
        Cells to compare, the first less the second; None for every pair.
    correction : {"holm", "benjamini-hochberg"}
        Over the pairs of this call.
    seeds : bool
        Whether the claim is about the recipes, whatever the seed, or about these very models. Seeds are paired: both
        cells must have the same ones. With one seed a claim about recipes cannot be told from one about models.

    Returns
    -------
    DataFrame
        A row for each pair: first, second, auroc_first, auroc_second (means over seeds), difference, low, high (95 %,
        not adjusted), error, df, z, p, p_adjusted.

    Raises
    ------
    ValueError
        A pair's cells have different numbers of models.
    """
    rows = []
    for first, second in combinations(cells, 2) if pairs is None else pairs:
        left, right = list(cells[first]), list(cells[second])
        if len(left) != len(right):
            raise ValueError(f"{first} has {len(left)} models and {second} {len(right)}; expected the same seeds")
        apart = Areas(several.values[left] - several.values[right], several.parts[left] - several.parts[right])
        found = spread(apart).difference(seeds and len(left) > 1)
        means = (several.values[left].mean(), several.values[right].mean())
        rows.append(
            (first, second, *means, found.value, found.low, found.high, found.error, found.df, found.z, found.p)
        )
    names = ["first", "second", "auroc_first", "auroc_second", "difference", "low", "high", "error", "df", "z", "p"]
    table = pd.DataFrame(rows, columns=names)
    table["p_adjusted"] = adjusted(table["p"].to_numpy(dtype=np.float64), correction)
    return table


def paired_tests(
    labels: Integers,
    scores: pd.DataFrame,
    pairs: Pairs | None = None,
    correction: Correction = "holm",
    seeds: bool = True,
) -> pd.DataFrame:
    """Test pairs of cells by their scores of the same encounters.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive and 0 for negative.
    scores : DataFrame
        A row for each encounter; a column for each cell, or for each (cell, seed), columns of two levels.
    pairs, correction, seeds
        As for `compare`.

    Raises
    ------
    ValueError
        A pair's cells have different seeds, or as `delong.areas` has it.
    """
    wanted = list(combinations(dict.fromkeys(scores.columns.get_level_values(0)), 2)) if pairs is None else list(pairs)
    models = {name: _models(scores, name) for pair in wanted for name in pair}
    for first, second in wanted:
        if not models[first].columns.equals(models[second].columns):
            raise ValueError(f"{first} and {second} have different seeds; expected the same")
    rows: dict[str, range] = {}
    for name, frame in models.items():
        start = sum(map(len, rows.values()))
        rows[name] = range(start, start + frame.shape[1])
    matrix = np.concatenate([frame.to_numpy(dtype=np.float64) for frame in models.values()], axis=1).T  # (K, N)
    return compare(areas(labels, matrix), rows, wanted, correction, seeds)


def _models(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Give one cell's scores, a column for each seed in their order."""
    chosen = scores[name]
    return chosen.to_frame(0) if isinstance(chosen, pd.Series) else chosen.sort_index(axis=1)
