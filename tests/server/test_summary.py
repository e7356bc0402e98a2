"""The table for people: means over seeds, and nothing where a seed has no figure."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from common.config import Federation
from server.results import COLUMNS, OF_CLASSES
from server.summary import render, show, summarise, summarise_classes


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


def of_classes() -> pd.DataFrame:
    """The same cell's classes, whose names look like something else; of one a seed was told nothing."""
    base = {"embedding": "minilm", "strategy": "full", "sources": "a", "site": "b", "split": "test", "n": 100}
    each = [
        {**base, "class": "7", "seed": seed, "positive": 40, "auroc": auroc} for seed, auroc in ((1, 0.6), (2, 0.8))
    ]
    each += [
        {**base, "class": "19", "seed": 1, "positive": 60, "auroc": 0.5},
        {**base, "class": "19", "seed": 2, "n": None},
    ]
    return pd.DataFrame(each, columns=[*base, "class", "seed", "positive", *OF_CLASSES])


def test_means_of_classes_are_over_all_seeds_or_none() -> None:
    table = summarise_classes(of_classes()).set_index("class")
    assert list(table.index) == ["7", "19"]
    assert table.loc["7", "auroc"] == pytest.approx(0.7)
    assert table.loc["7", "seeds_sd"] == pytest.approx(0.2 / 2**0.5)
    assert pd.isna(table.loc["19", "auroc"])


def test_classes_may_have_any_name(
    federation: Callable[..., Federation], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results().to_csv(tmp_path / "results.csv", index=False)
    of_classes().to_csv(tmp_path / "classes.csv", index=False)
    (tmp_path / "results.json").write_text(json.dumps({"absent": []}))
    show(tmp_path, federation(model={"classes": ["7", "19", "rsv"]}))
    lines = capsys.readouterr().out.splitlines()
    assert sum("\u2502 7 " in line and "0.700" in line for line in lines) == 1
    assert sum("\u2502 19 " in line and "withheld" in line for line in lines) == 1
