"""A study's cells are what single runs give, however they are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w

from common.errors import ConfigError
from server.simulate import run as simulate
from study.cells import Bench
from study.config import Study, load_study
from study.run import run
from study.summary import write

Write = Callable[..., Path]


@pytest.fixture
def study(content: dict[str, Any], tmp_path: Path) -> Write:
    """Write a study file over the built-in pair."""

    def make(**changes: Any) -> Path:
        path = tmp_path / "study.toml"
        keys: dict[str, Any] = {
            "name": "both",
            "seeds": [7, 8],
            "embeddings": ["minilm", "one-hot"],
            "strategies": ["local", "direct", "prior", "recalibrate", "linear", "half-way", "full", "auto"],
            "sizes": [300, "all"],
            "sites": content["sites"],
            "directions": [{"sources": ["allegheny"], "targets": ["salt-lake"]}],
            "overrides": {"training": content["training"], "tuning": content["tuning"]},
        }
        path.write_text(tomli_w.dumps(keys | changes))
        return path

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def done(path: Path, folder: Path, jobs: int = 1) -> Study:
    checked = load_study(path)
    run(checked, folder, jobs)
    write(folder, checked)
    return checked


def test_a_cell_is_what_a_single_run_gives(study: Write, tmp_path: Path) -> None:
    path = study(strategies=["local", "direct", "prior", "linear", "half-way", "full", "auto", "fedper", "logistic"])
    checked = done(path, tmp_path / "study")
    federation = load_study(path).federation("default")
    simulate(federation, path, tmp_path / "run")
    keys = ["embedding", "strategy", "seed"]
    alone = (
        pd.read_csv(tmp_path / "run" / "results.csv").query("split == 'test' and site == 'salt-lake'").set_index(keys)
    )
    cells = pd.read_csv(tmp_path / "study" / "cells.csv", dtype={"size": str}).query("size == 'all'").set_index(keys)
    assert len(cells) == 2 * 9 * len(checked.seeds)
    for name in ("auroc", "auprc", "brier", "calibration_slope", "n", "positive"):
        np.testing.assert_array_equal(cells[name], alone.loc[cells.index, name])


def test_a_study_that_was_cut_off_goes_on_to_the_same_bytes(study: Write, tmp_path: Path) -> None:
    path = study(strategies=["local", "direct", "linear"], embeddings=["one-hot", "minilm"], sizes=[300])
    done(path, tmp_path / "whole")
    done(path, tmp_path / "cut", jobs=2)
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "cut") == whole
    for name in ("cells/default_minilm_local.csv", "cells/default_one-hot_allegheny.csv", "summary.csv"):
        (tmp_path / "cut" / name).unlink()
    done(path, tmp_path / "cut")
    assert contents(tmp_path / "cut") == whole


def test_fewer_encounters_are_some_of_more(study: Write) -> None:
    checked = load_study(study())
    sites = checked.load_sites()
    bench = Bench.of(checked.federation("default"), "one-hot", sites, sites)
    drawn = {size: bench.drawn("salt-lake", size, 7)[0].tokens.numpy() for size in (100, 300, 900)}
    for fewer, more in ((100, 300), (300, 900)):
        assert np.array_equal(drawn[fewer], drawn[more][: len(drawn[fewer])])
    assert not np.array_equal(drawn[100], bench.drawn("salt-lake", 100, 8)[0].tokens.numpy())
    train, validation = bench.drawn("salt-lake", 1000, 7)
    assert len(train) + len(validation) == 1000
    whole = bench.data["salt-lake"].splits
    assert len(train) / 1000 == pytest.approx(
        len(whole["train"]) / (len(whole["train"]) + len(whole["validation"])), abs=0.001
    )


def test_strategies_are_compared_on_the_same_patients(study: Write, tmp_path: Path) -> None:
    done(study(embeddings=["one-hot"], sizes=[300]), tmp_path / "study")
    pairs = pd.read_csv(tmp_path / "study" / "comparisons.csv")
    assert len(pairs) == 28
    assert (pairs["p_adjusted"] >= pairs["p"] - 1e-12).all()
    same = pairs.set_index(["first", "second"]).loc[("direct", "recalibrate")]
    assert same["difference"] == pytest.approx(0, abs=1e-4)
    summary = pd.read_csv(tmp_path / "study" / "summary.csv").set_index("strategy")
    assert (summary["low"] < summary["auroc"]).all()
    assert (summary["auroc"] < summary["high"]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategies": ["direct", "head"]}, "'head' is not one of local, direct"),
        ({"sizes": [5, 5]}, "sizes names something twice"),
        ({"directions": [{"sources": ["allegheny", "salt-lake"], "targets": []}]}, "one source in a direction"),
        ({"overrides": {"normalisation": "odd"}}, "preset default: normalisation"),
        (
            {"overrides": {"aggregation": {"name": "FedAdam"}}},
            "overrides.aggregation is not for a study, whose sources",
        ),
        ({"strategies": ["ensemble"]}, "strategies: 'ensemble' of one source, as a study has it, is 'direct'"),
    ],
)
def test_a_broken_study_file(study: Write, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_study(study(**changes))


def test_a_folder_of_another_study_is_left_alone(study: Write, tmp_path: Path) -> None:
    done(study(embeddings=["one-hot"], strategies=["direct"]), tmp_path / "study")
    with pytest.raises(ConfigError, match="holds another study"):
        run(load_study(study(embeddings=["one-hot"], strategies=["direct"], seeds=[9])), tmp_path / "study", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        run(load_study(study()), tmp_path / "other", 1)


def test_more_encounters_than_there_are(study: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sizes: 100000, but salt-lake has \d+ encounters"):
        run(load_study(study(sizes=[100000])), tmp_path / "study", 2)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs/studies").glob("*.toml")), ids=lambda path: path.name
)
def test_the_examples_are_valid(path: Path) -> None:
    found = load_study(path)
    assert found.name == path.stem
    assert [site for site in found.sites.values() if not Path(str(site.file)).is_file()] == []
