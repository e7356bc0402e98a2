"""The table for people: means over seeds, and nothing where a seed has no figure."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from server.results import COLUMNS
from server.summary import render, summarise


def results() -> pd.DataFrame:
    """Two seeds of one cell, one of which lacks its sensitivity; one cell with too few patients; a validation row."""
    base = {"embedding": "minilm", "strategy": "full", "sources": "a", "site": "b", "split": "test", "n": 100}
    rows = [
        {**base, "seed": 1, "auroc": 0.8, "auroc_low": 0.7, "auroc_high": 0.9, "sensitivity": 0.5},
        {**base, "seed": 2, "auroc": 0.9, "auroc_low": 0.8, "auroc_high": 1.0, "sensitivity": None},
        {**base, "seed": 1, "split": "validation", "auroc": 0.1},
        {**base, "seed": 1, "strategy": "local", "sources": "", "n": None},
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_means_are_over_all_seeds_or_none() -> None:
    table = summarise(results()).set_index("strategy")
    assert list(table.index) == ["local", "full"]
    assert table.loc["full", "auroc"] == pytest.approx(0.85)
    assert table.loc["full", "seeds_sd"] == pytest.approx(0.1 / 2**0.5)
    assert (table.loc["full", "auroc_low"], table.loc["full", "auroc_high"]) == pytest.approx((0.75, 0.95))
    assert table.loc["full", "seeds"] == 2
    assert pd.isna(table.loc["full", "sensitivity"])
    assert pd.isna(table.loc["local", "auroc"])


def test_the_table_says_where_there_were_too_few() -> None:
    page = io.StringIO()
    Console(file=page, width=160).print(render(summarise(results()), "small"))
    lines = page.getvalue().splitlines()
    (local,) = [line for line in lines if "local" in line]
    (full,) = [line for line in lines if "full" in line]
    assert "too few" in local
    assert "0.850" in full
    assert "0.750-0.950" in full


def test_what_a_site_keeps_back_is_neither_zero_nor_unknown() -> None:
    page = io.StringIO()
    told = results().assign(withheld="specificity brier")
    Console(file=page, width=160).print(render(summarise(told), "small"))
    (full,) = [line for line in page.getvalue().splitlines() if "full" in line]
    assert full.count("withheld") == 2
