"""Studies of several classes or labels: cells are what single runs give, and their intervals hold the covariance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w

from client.refusals import OtherLabelError
from common.errors import ConfigError
from common.statistics.delong import areas
from server.simulate import run as simulate
from study.config import Study, load_study
from study.run import run
from study.summary import show, write

CLASSES, LABELS = ["flu", "rsv", "none"], ["flu", "third"]
OF = {
    "classes": '[cohort.label]\ncolumn = "kind"\nclasses = { flu = ["1"], rsv = ["2"], none = ["0"] }\n',
    "labels": "".join(
        f'[cohort.labels.{name}]\ncolumn = "{column}"\npositive = ["1"]\n'
        for name, column in zip(LABELS, ("kind", "third"), strict=True)
    ),
}
NAMES = {"classes": CLASSES, "labels": LABELS}
Content = dict[str, Any]


@pytest.fixture
def of(content: Content, hospitals: Path, tmp_path: Path) -> Callable[[str], Content]:
    """Write both hospitals with three classes or with two labels.

    Of rsv both have too few encounters to choose the best by (28 and 29), and salt-lake too few to test by (5).
    """

    def make(kind: str) -> Content:
        for name in ("allegheny", "salt-lake"):
            cells = pd.read_csv(hospitals / f"{name}.csv", dtype=str, keep_default_na=False)
            influenza = cells.pop("influenza")
            cells["kind"] = influenza.mask((influenza == "0") & (cells.index % 8 == 0), "2")
            if kind == "labels":
                cells["third"] = (cells.index % 3 == 0).astype(int).astype(str)
            rare = cells[(cells["season"] == "season-4") & (cells["kind"] == "2")].index
            if name == "salt-lake":
                cells.loc[rare[5:], "kind"] = "0"
            cells.to_csv(tmp_path / f"{name}.csv", index=False)
            text = (hospitals / f"{name}.toml").read_text().replace("min_cell = 11", "min_cell = 30")
            start = text.index("[cohort.label]")
            (tmp_path / f"{name}.toml").write_text(text[:start] + OF[kind] + text[text.index("\n[", start) :])
        files = {name: {"file": str(tmp_path / f"{name}.toml")} for name in ("allegheny", "salt-lake")}
        return {"sites": files, "overrides": {"model": {kind: NAMES[kind]}}}

    return make


@pytest.fixture
def study(content: Content, tmp_path: Path) -> Callable[..., Path]:
    """Write a study file."""

    def make(**changes: Any) -> Path:
        keys: Content = {
            "name": "several",
            "seeds": [7, 8],
            "embeddings": ["minilm"],
            "strategies": ["local", "direct", "linear", "full"],
            "directions": content["directions"],
        }
        restless = {"learning_rate": 0.2}  # the last epoch is not always the best
        overrides = {"training": content["training"] | restless, "tuning": content["tuning"] | restless | {"epochs": 6}}
        overrides |= changes.pop("overrides", {})
        (tmp_path / "study.toml").write_text(tomli_w.dumps(keys | changes | {"overrides": overrides}))
        return tmp_path / "study.toml"

    return make


def done(path: Path, folder: Path) -> Study:
    checked = load_study(path)
    run(checked, folder, 1)
    write(folder, checked)
    return checked


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_a_cell_is_what_a_single_run_gives(
    of: Callable[[str], Content], study: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    names = ["local", "direct", "intercept", "recalibrate", "linear", "full", "auto"]
    names += ["prior"] if kind == "labels" else []  # of rsv too few are told of
    path = study(**of(kind), strategies=names)
    checked = done(path, tmp_path / "study")
    simulate(checked.federation("default"), path, tmp_path / "run")
    runs = {name: pd.read_csv(tmp_path / "run" / f"{name}.csv") for name in ("results", "classes")}
    keys = ["strategy", "site", "seed"]
    alone = {name: table.query("split == 'test' and strategy != 'source'") for name, table in runs.items()}
    whole = alone["results"].set_index(keys)
    cells = pd.read_csv(tmp_path / "study" / "cells.csv").rename(columns={"target": "site"}).set_index(keys)
    assert len(cells) == len(whole) == 2 * len(names) * len(checked.seeds)
    for name in ("auroc", "auprc", "brier", "calibration_intercept", "calibration_slope", "n", "positive"):
        np.testing.assert_array_equal(cells[name], whole.loc[cells.index, name])
    for name in ("auroc_low", "auroc_high"):
        np.testing.assert_allclose(cells[name], whole.loc[cells.index, name], atol=1e-12)
    assert cells[["positive", "sensitivity", "specificity"]].isna().all(axis=None)
    parts = sorted((tmp_path / "study" / "cells").glob("*.classes.csv"))
    each = pd.concat(map(pd.read_csv, parts)).rename(columns={"target": "site"}).set_index([*keys, "class"])
    other = alone["classes"].set_index([*keys, "class"])
    assert len(each) == len(other)
    for name in ("auroc", "auprc", "brier", "calibration_intercept", "calibration_slope"):
        np.testing.assert_array_equal(each[name], other.loc[each.index, name])
    summary = pd.read_csv(tmp_path / "study" / "classes.csv").dropna(subset=["auroc"])
    assert (summary["low"] < summary["auroc"]).all()
    assert (summary["auroc"] < summary["high"]).all()
    if kind == "classes":  # 5 test encounters are fewer than min_cell
        rare = each.xs(("salt-lake", "rsv"), level=("site", "class"))
        assert (rare["positive"] == 5).all()
        assert rare["auroc"].isna().all()
        assert each.xs(("allegheny", "rsv"), level=("site", "class"))["auroc"].notna().all()


def test_means_have_the_covariance_of_their_classes(
    of: Callable[[str], Content], study: Callable[..., Path], tmp_path: Path
) -> None:
    """Worked out from the areas of every class under both models, with their whole covariance matrix."""
    way = [{"sources": ["salt-lake"], "targets": ["allegheny"]}]
    path = study(**of("classes"), seeds=[7], strategies=["direct", "full"], directions=way)
    done(path, tmp_path / "study")
    kept = np.load(tmp_path / "study" / "cells" / "default_minilm_salt-lake.npz")
    assert kept["allegheny|names"].tolist() == CLASSES
    yes, parts, values = kept["allegheny|labels"].astype(np.int64), [], []
    for strategy in ("direct", "full"):
        for q in range(3):
            one = areas(yes[:, q], kept[f"allegheny|all|{strategy}"][0, :, q].astype(np.float64))
            values.append(float(one.values[0]))
            parts.append(one.parts[0])
    covariance = np.array(parts) @ np.array(parts).T  # (6, 6)
    apart, mean = np.repeat([1 / 3, -1 / 3], 3), np.repeat([1 / 3, 0], 3)
    pair = pd.read_csv(tmp_path / "study" / "comparisons.csv").iloc[0]
    assert pair["difference"] == pytest.approx(apart @ values)
    assert pair["error"] == pytest.approx(np.sqrt(apart @ covariance @ apart))
    summary = pd.read_csv(tmp_path / "study" / "summary.csv").set_index("strategy").loc["direct"]
    assert summary["auroc"] == pytest.approx(mean @ values, abs=1e-6)  # kept in float32
    assert summary["sd_patients"] == pytest.approx(np.sqrt(mean @ covariance @ mean))
    assert summary["sd_patients"] != pytest.approx(np.sqrt(mean @ np.diag(np.diag(covariance)) @ mean), rel=0.05)
    each = pd.read_csv(tmp_path / "study" / "classes.csv").set_index(["strategy", "class"])
    assert each["sd_patients"].tolist() == pytest.approx(np.sqrt(np.diag(covariance)).tolist())
    assert each["positive"].loc["direct"].tolist() == yes.sum(axis=0).tolist()


def test_it_goes_on_to_the_same_bytes_and_prints_every_class(
    of: Callable[[str], Content], study: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(**of("classes"), seeds=[7], strategies=["local", "direct"])
    folder = tmp_path / "study"
    checked = done(path, folder)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for name in ("cells/default_minilm_allegheny.csv", "cells/default_minilm_allegheny.classes.csv", "classes.csv"):
        (folder / name).unlink()
    done(path, folder)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    show(folder, checked)
    said = capsys.readouterr().out
    assert "AUROC, mean over the classes flu, rsv, none, and over seeds" in " ".join(said.split())
    each = said[said.index("AUROC of each against the rest") :]
    row = next(line for line in each.splitlines() if "salt-lake" in line and "direct" in line)
    assert [bool(cell.strip()) for cell in row.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[5:8]] == [True, False, True]


def test_a_prevalence_that_a_source_does_not_tell(
    of: Callable[[str], Content], study: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="prior: the source has too few validation encounters to tell a prevalence"):
        done(study(**of("classes"), strategies=["prior"]), tmp_path / "study")


def test_a_site_with_another_label_is_named_before_anything_is_trained(
    of: Callable[[str], Content], study: Callable[..., Path], tmp_path: Path
) -> None:
    changes = of("labels") | {"overrides": {"model": {"classes": CLASSES}}}
    with pytest.raises(OtherLabelError, match=r"allegheny\.toml: cohort\.labels has the labels flu, third"):
        done(study(**changes), tmp_path / "study")
    assert list((tmp_path / "study" / "cells").iterdir()) == []
