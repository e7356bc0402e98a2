"""A small run over the built-in pair, and the target's test encounters without labels."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tomli_w

from common.cli import main
from common.config import load_federation
from server.simulate import run

RUN = {
    "name": "small",
    "seeds": [7, 8],
    "embeddings": ["minilm", "one-hot"],
    "strategies": ["direct", "recalibrate", "linear", "full", "pooled"],
    "intervals": 100,
    "directions": [{"sources": ["allegheny"], "targets": ["salt-lake"]}],
    "training": {"rounds": 2, "epochs": 1, "batches": 60, "learning_rate": 0.1},
    "tuning": {"rounds": 1, "epochs": 1, "batches": 20, "learning_rate": 0.05},
}


@pytest.fixture(scope="session")
def small_run(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two seeds, two embeddings and most strategies."""
    folder = tmp_path_factory.mktemp("prediction")
    content = copy.deepcopy(RUN)
    content["sites"] = {name: {"file": str(hospitals / f"{name}.toml")} for name in ("allegheny", "salt-lake")}
    path = folder / "federation.toml"
    path.write_text(tomli_w.dumps(content))
    run(load_federation(path), path, folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def held_out(hospitals: Path) -> pd.DataFrame:
    """The target's test encounters, labels and all, as text."""
    table = pd.read_csv(hospitals / "salt-lake.csv", dtype=str, keep_default_na=False)
    return table[table["season"] == "season-4"]


@pytest.fixture
def unlabelled(held_out: pd.DataFrame, tmp_path: Path) -> Path:
    """The same as a file without the columns of label and season."""
    path = tmp_path / "new.csv"
    held_out.drop(columns=["influenza", "season"]).to_csv(path, index=False)
    return path


Predict = Callable[..., pd.DataFrame]


@pytest.fixture
def predict(hospitals: Path, small_run: Path, unlabelled: Path, tmp_path: Path) -> Predict:
    """Run the command; give what it wrote."""

    def command(*more: str, **changed: Path) -> pd.DataFrame:
        out = changed.get("out", tmp_path / "scores.csv")
        site, model = changed.get("site", hospitals / "salt-lake.toml"), changed.get("model", small_run)
        words = ["predict", str(site), "--model", str(model), "--out", str(out)]
        with contextlib.suppress(SystemExit):
            main([*words, "--encounters", str(changed.get("encounters", unlabelled)), *more])
        return pd.read_csv(out, dtype={"encounter_id": str}, keep_default_na=False)

    return command


@pytest.fixture
def fails(
    hospitals: Path, small_run: Path, unlabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command that must fail and write nothing; give what it said."""

    def command(*more: str, command: str = "predict", **changed: Path) -> str:
        out = changed.get("out", tmp_path / "scores.csv")
        before = out.read_bytes() if out.is_file() else None
        capsys.readouterr()
        model = str(changed.get("model", small_run))
        words = [command, str(changed.get("site", hospitals / "salt-lake.toml")), "--model", model]
        words += ["--encounters", str(changed.get("encounters", unlabelled))]
        if command == "export":
            words = [command, model]
        with pytest.raises(SystemExit) as exit_:
            main([*words, "--out", str(out), *more])
        said = capsys.readouterr()
        assert exit_.value.code == 1
        assert said.out == ""
        assert "Traceback" not in said.err
        assert (out.read_bytes() if out.is_file() else None) == before
        assert not list(tmp_path.glob(".scores*"))
        return said.err

    return command
