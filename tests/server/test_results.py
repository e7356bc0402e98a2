from __future__ import annotations

from pathlib import Path

import pandas as pd

from common.tasks import Answer
from server.exchange import Exchange
from server.results import Results

KEYS: dict[str, object] = {"embedding": "e", "seed": 7, "strategy": "direct", "sources": "a", "site": "b"}
CURVE = {"test.curve.00.from": 0.0, "test.curve.00.n": 30.0, "test.curve.00.positive": 11.0}
CURVE |= {"test.curve.01.from": 0.25, "test.curve.01.n": 40.0, "test.curve.01.positive": 29.0}


def curves(folder: Path, figures: dict[str, float]) -> pd.DataFrame:
    results = Results(folder)
    results.add(KEYS, Answer("ok", "b", {"test.n": 70.0, **figures}), ("validation", "test"), None)
    results.write(Exchange(), [])
    return pd.read_csv(folder / "curves.csv")


def test_a_curve_is_written_a_bin_a_row(tmp_path: Path) -> None:
    table = curves(tmp_path, CURVE)
    assert table[["split", "bin_low", "bin_high", "n", "positive"]].to_numpy().tolist() == [
        ["test", 0.0, 0.25, 30, 11], ["test", 0.25, 1.0, 40, 29]
    ]  # fmt: skip
    assert set(table["site"]) == {"b"}


def test_half_a_curve_is_none(tmp_path: Path) -> None:
    assert curves(tmp_path, {name: value for name, value in CURVE.items() if name != "test.curve.01.n"}).empty
