from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.wire import PARTS
from server.report.card import DAMAGED, GONE, ORDER, OTHER, SAME, check, extremes, models
from server.report.folder import RunFolder
from server.report.page import page
from server.report.performance import extended
from server.summary import summarise

NAME = "minilm_7_allegheny_source"


def test_the_order_is_that_of_the_wire() -> None:
    assert tuple(name for part in PARTS.values() for name in part) == ORDER


def change_one(path: Path) -> None:
    state = load_file(path)
    state["linear.bias"][0] += np.float32(1e-6)
    save_file(state, path)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: None, SAME),
        (change_one, OTHER),
        (lambda path: path.unlink(), GONE),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), DAMAGED),
    ],
)
def test_weights_are_checked(folder: Path, spoil: Callable[[Path], None], expected: str) -> None:
    run = RunFolder(folder)
    spoil(folder / "weights" / f"{NAME}.safetensors")
    assert check(folder / "weights" / f"{NAME}.safetensors", run.weights[NAME]) == expected
    assert (f"<strong>{expected}</strong>" in page(run)) == (expected != SAME)


def test_a_file_of_weights_stands_beside_its_own_figures(folder: Path) -> None:
    run = RunFolder(folder)
    cells = {row.cells[0]: row.cells[1] for row in models(run).rows}
    keys = "embedding == 'minilm' and seed == 7 and split == 'test' and strategy == {!r}"
    for name, strategy in ((NAME, "source"), ("minilm_7_allegheny_linear-salt-lake", "linear")):
        (figure,) = run.results.query(keys.format(strategy))["auroc"]
        assert f">{figure:.3f}<" in cells[name]


def test_the_code_on_the_page_checks_the_files(folder: Path) -> None:
    (code,) = re.findall("<pre>(.*?)</pre>", page(RunFolder(folder)), re.DOTALL)
    change_one(folder / "weights" / f"{NAME}.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", html.unescape(code)], cwd=folder, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == [f"DIFFERS {NAME}", "as noted minilm_7_allegheny_linear-salt-lake"]


def test_limits_are_those_of_the_figures(folder: Path) -> None:
    results = RunFolder(folder).results
    summary = extended(results, summarise(results))
    said = [re.sub("<.*?>", "", line) for line in extremes(summary)]
    wide = int((summary["auroc_high"] - summary["auroc_low"]).argmax())
    assert f"{summary['auroc_low'].iloc[wide]:.3f}" in said[0]
    assert f"at {summary['site'].iloc[wide]}" in said[0]
    slopes = summary["calibration_slope"]
    assert re.findall(r"\d\.\d{3}", said[1]) == [f"{slopes.min():.3f}", f"{slopes.max():.3f}"]
    numbers = dict.fromkeys(map(str, summary.select_dtypes("number")), np.nan)
    assert extremes(summary.assign(**numbers)) == []
