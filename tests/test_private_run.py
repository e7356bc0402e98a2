"""A whole run under differential privacy, in one process: what it costs, and what stops it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from common.config import load_federation
from common.errors import SiteError
from server.simulate import run

Write = Callable[..., Path]
PRIVACY = {"noise_multiplier": 1.0, "clip": 0.5}


@pytest.fixture
def budgets(hospitals: Path, tmp_path: Path) -> Callable[[float], dict[str, Any]]:
    """Site entries of a federation file, each site with a budget."""

    def made(epsilon: float) -> dict[str, Any]:
        for path in hospitals.iterdir():
            shutil.copy(path, tmp_path)
        entries = {}
        for name in ("allegheny", "salt-lake"):
            path = tmp_path / f"{name}.toml"
            path.write_text(path.read_text() + f"\n[policy.privacy]\nepsilon = {epsilon}\nmetrics_noise = 1.0\n")
            entries[name] = {"file": str(path)}
        return entries

    return made


def simulated(path: Path, out: Path) -> pd.DataFrame:
    run(load_federation(path), path, out)
    return pd.read_csv(out / "results.csv")


def test_a_run_within_budget_gives_noised_scores_of_every_strategy(
    write: Write, budgets: Callable[[float], dict[str, Any]], tmp_path: Path
) -> None:
    path = write(sites=budgets(60.0), privacy=PRIVACY, training={"batch_size": 200}, tuning={"batch_size": 200})
    table = simulated(path, tmp_path / "out")
    test = table[table.split == "test"]
    assert set(test.strategy) == {"source", "local", "direct", "linear", "full"}
    assert test.auroc.between(0.3, 1).all()
    assert test.auroc_low.isna().all()
    assert test.n.nunique() > 2  # each counted with noise of its own, of 500


def test_a_budget_that_is_spent_stops_the_run_with_the_reason(
    write: Write, budgets: Callable[[float], dict[str, Any]], tmp_path: Path
) -> None:
    path = write(sites=budgets(3.0), privacy=PRIVACY)
    with pytest.raises(SiteError, match=r"privacy budget for its patients does not cover this task"):
        simulated(path, tmp_path / "out")


def test_a_site_that_wants_noise_refuses_a_run_without(
    write: Write, budgets: Callable[[float], dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(SiteError, match=r"asks for differential privacy, and the task has none"):
        simulated(write(sites=budgets(3.0)), tmp_path / "out")
