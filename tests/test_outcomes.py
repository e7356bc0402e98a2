"""Whole runs on other tasks than yes or no: to the bit what two classes are, and what scikit-learn says of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from client.preparation import prepare
from client.site_file import load_site
from common.config import Federation, load_federation
from common.errors import SiteError
from common.model import ConceptCNN
from common.shape import ModelShape
from common.tasks import Embedding
from server.simulate import run
from server.summary import show

Make = Callable[..., Federation]
Cells = pd.DataFrame
Relabel = Callable[[str, Callable[[Cells], Cells]], dict[str, Any]]
ONE = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
BOTH = ("flu", "third")
VIRUSES = ("flu", "rsv", "none")
TWO = '[cohort.label]\ncolumn = "influenza"\nclasses = { other = ["0"], flu = ["1"] }\n'
THREE = '[cohort.label]\ncolumn = "influenza"\nclasses = { flu = ["1"], rsv = ["2"], none = ["0"] }\n'
SEVERAL = "".join(
    f'[cohort.labels.{name}]\ncolumn = "{column}"\npositive = ["1"]\n'
    for name, column in zip(BOTH, ("influenza", "third"), strict=True)
)


@pytest.fixture
def relabelled(hospitals: Path, tmp_path: Path) -> Relabel:
    """Write both hospitals with another label, and give them as a federation's sites."""

    def make(label: str, table: Callable[[Cells], Cells]) -> dict[str, Any]:
        for name in ("allegheny", "salt-lake"):
            text = (hospitals / f"{name}.toml").read_text()
            start = text.index("[cohort.label]")
            (tmp_path / f"{name}.toml").write_text(text[:start] + label + text[text.index("\n[", start) :])
            cells = pd.read_csv(hospitals / f"{name}.csv", dtype=str, keep_default_na=False)
            table(cells).to_csv(tmp_path / f"{name}.csv", index=False)
        return {name: {"file": str(tmp_path / f"{name}.toml")} for name in ("allegheny", "salt-lake")}

    return make


def every_third(cells: Cells) -> Cells:
    """Make every third encounter without influenza one of a third class."""
    rows = (cells["influenza"] == "0") & (cells.index % 3 == 0)
    return cells.assign(influenza=cells["influenza"].mask(rows, "2"))


def with_third(cells: Cells) -> Cells:
    """Give every third encounter a label of its own."""
    return cells.assign(third=(cells.index % 3 == 0).astype(int).astype(str))


def test_two_classes_by_name_are_two_classes_to_the_bit(federation: Make, relabelled: Relabel, tmp_path: Path) -> None:
    asked = {"directions": ONE, "strategies": ["local", "full"]}
    run(federation(**asked), tmp_path / "federation.toml", tmp_path / "plain")
    asked |= {"sites": relabelled(TWO, lambda cells: cells), "model": {"classes": ["other", "flu"]}}
    run(federation(**asked), tmp_path / "federation.toml", tmp_path / "named")
    for file in ("results.csv", "curves.csv", "results.json"):
        assert (tmp_path / "named" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
    assert not (tmp_path / "named" / "classes.csv").exists()


def probabilities(
    site: Path, weights: Path, shape: ModelShape, embedding: Embedding = MINILM
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Work out answers and probabilities of test encounters from the files of a run, in the plainest way."""
    data = prepare(load_site(site), embedding)
    model = ConceptCNN(data.table, shape)
    model.load_state_dict(load_file(weights))
    test = data.splits["test"]
    logits = model.linear(model.convolve_and_pool(test.tokens.int())).detach().double().numpy()
    labels = test.labels.numpy()
    if shape.labels:
        return labels, 1 / (1 + np.exp(-logits))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (labels[:, None] == np.arange(shape.outputs)).astype(np.int64), odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("label", "table", "model"),
    [(THREE, every_third, {"classes": list(VIRUSES)}), (SEVERAL, with_third, {"labels": list(BOTH)})],
    ids=["classes", "labels"],
)
def test_a_run_is_scored_as_scikit_learn_scores_it(
    federation: Make,
    relabelled: Relabel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    label: str,
    table: Callable[[Cells], Cells],
    model: dict[str, Any],
) -> None:
    checked = federation(sites=relabelled(label, table), model=model, directions=ONE, strategies=["direct", "full"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    keys = ["strategy", "site", "split"]
    whole = pd.read_csv(tmp_path / "run" / "results.csv").set_index(keys)
    each = pd.read_csv(tmp_path / "run" / "classes.csv").set_index([*keys, "class"])
    names = checked.model.names
    for strategy, file in (("direct", "source"), ("full", "full-salt-lake")):
        weights = tmp_path / "run" / "weights" / f"minilm_7_allegheny_{file}.safetensors"
        yes, chances = probabilities(tmp_path / "salt-lake.toml", weights, checked.model)
        row = whole.xs((strategy, "salt-lake", "test"))
        assert row["auroc"] == pytest.approx(roc_auc_score(yes, chances, average="macro"), abs=1e-6)
        assert row["auprc"] == pytest.approx(average_precision_score(yes, chances, average="macro"), abs=1e-6)
        assert row["brier"] == pytest.approx(((chances - yes) ** 2).mean(), abs=1e-6)
        assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
        assert np.isnan(row["positive"])
        for q, name in enumerate(names):
            own = each.xs((strategy, "salt-lake", "test", name))
            assert own["auroc"] == pytest.approx(roc_auc_score(yes[:, q], chances[:, q]), abs=1e-6)
            assert own["brier"] == pytest.approx(brier_score_loss(yes[:, q], chances[:, q]), abs=1e-6)
            assert (own["n"], own["positive"]) == (len(yes), yes[:, q].sum())
    curves = pd.read_csv(tmp_path / "run" / "class-curves.csv").query("site == 'salt-lake' and strategy == 'full'")
    assert (curves.groupby("class")["n"].sum() == len(yes)).all()
    assert curves.groupby("class")["positive"].sum().to_dict() == dict(zip(names, yes.sum(axis=0), strict=True))
    show(tmp_path / "run", checked)
    printed = capsys.readouterr().out
    assert f"means over {checked.model.predicts}" in printed
    assert printed.count("flu") >= 3


@pytest.mark.parametrize(
    ("label", "table", "model"),
    [(THREE, every_third, {"classes": list(VIRUSES)}), (SEVERAL, with_third, {"labels": list(BOTH)})],
    ids=["classes", "labels"],
)
def test_a_target_recalibrates_and_chooses(
    federation: Make,
    relabelled: Relabel,
    tmp_path: Path,
    label: str,
    table: Callable[[Cells], Cells],
    model: dict[str, Any],
) -> None:
    strategies = ["direct", "prior", "intercept", "recalibrate", "full", "auto", "fedper", "ensemble", "logistic"]
    checked = federation(sites=relabelled(label, table), model=model, directions=ONE, strategies=strategies)
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "results.csv").query("site == 'salt-lake' and split == 'test'")
    rows = rows.set_index("strategy")
    assert set(strategies) == set(rows.index)
    assert rows["note"]["auto"].startswith("chose ")
    assert rows["auroc"]["ensemble"] == rows["auroc"]["direct"]  # of one source
    assert rows["auroc"]["logistic"] > 0.55
    yes, before = probabilities(tmp_path / "salt-lake.toml", weights_of(tmp_path, "source"), checked.model)
    trained = prepare(load_site(tmp_path / "salt-lake.toml"), MINILM).splits["train"].labels.numpy()
    shares = (trained if checked.model.labels else trained[:, None] == np.arange(3)).mean(axis=0)
    joined = load_file(weights_of(tmp_path, "source")) | load_file(weights_of(tmp_path, "intercept-salt-lake"))
    save_file(joined, tmp_path / "joined.safetensors")
    _, after = probabilities(tmp_path / "salt-lake.toml", tmp_path / "joined.safetensors", checked.model)
    assert np.abs(after.mean(axis=0) - shares).max() < np.abs(before.mean(axis=0) - shares).max()
    np.testing.assert_allclose(after.mean(axis=0), shares, atol=0.02)  # to the digit on training encounters
    assert rows["brier"]["intercept"] == pytest.approx(((after - yes) ** 2).mean(), abs=1e-6)


def weights_of(folder: Path, name: str) -> Path:
    return folder / "run" / "weights" / f"minilm_7_allegheny_{name}.safetensors"


def test_a_class_of_few_is_named_with_the_mean(federation: Make, relabelled: Relabel, tmp_path: Path) -> None:
    """A site that declares no encounter of a class is told nothing of it, and its mean is over the others."""
    sites = relabelled(THREE, every_third)
    lake = tmp_path / "salt-lake.csv"
    cells = pd.read_csv(lake, dtype=str, keep_default_na=False)
    cells[cells["influenza"] != "2"].to_csv(lake, index=False)
    (tmp_path / "salt-lake.toml").write_text((tmp_path / "salt-lake.toml").read_text().replace('["2"]', "[]"))
    checked = federation(sites=sites, model={"classes": list(VIRUSES)}, directions=ONE, strategies=["direct"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "results.csv").query("strategy == 'direct' and split == 'test'")
    assert rows["note"].tolist() == [
        "means are without rsv: fewer patients have it, or have it not, than the site's min-cell"
    ]
    each = pd.read_csv(tmp_path / "run" / "classes.csv").query("strategy == 'direct' and split == 'test'")
    assert rows["auroc"].iloc[0] == pytest.approx(each["auroc"].mean())
    assert each.set_index("class")["note"].notna().to_dict() == {"flu": False, "rsv": True, "none": False}


def test_a_site_with_another_label_is_named_before_anything_is_trained(
    federation: Make, relabelled: Relabel, tmp_path: Path
) -> None:
    sites = relabelled(THREE.replace("rsv", "cold"), every_third)
    with pytest.raises(SiteError) as caught:
        run(federation(sites=sites, model={"classes": list(VIRUSES)}), tmp_path / "federation.toml", tmp_path / "run")
    assert "site allegheny: the site file's label is not what the federation predicts" in str(caught.value)
    assert "cohort.label has the classes flu, cold, none; the federation predicts the classes flu, rsv, none" in str(
        caught.value
    )
    assert not (tmp_path / "run" / "weights").exists()


@pytest.mark.slow
def test_four_viruses(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The laboratory's benchmark, all of its diagnoses: macro AUROC as scikit-learn has it, and what transfer gives."""
    monkeypatch.setenv("SITEBRIDGE_DATA", str(data))
    path = Path(__file__).parents[1] / "configs" / "flu-viruses.toml"
    directions = [{"sources": ["kl1"], "targets": ["target-500"]}]
    changes = {"seeds": [215], "embeddings": ["one-hot"], "directions": directions}
    checked = load_federation(path, changes | {"strategies": ["direct", "linear", "full"]})
    run(checked, path, tmp_path / "run")
    sites = {name: path.parent / "flu-viruses" / f"{name}.toml" for name in ("kl1", "target-500")}
    words = {
        token.name
        for name in checked.sites
        for token in load_site(path.parent / "flu-viruses" / f"{name}.toml").vocabulary
    }
    embedding = Embedding(
        name="one-hot",
        normalisation=checked.normalisation,
        unknown=checked.unknown,
        absence=checked.absence,
        vocabulary=tuple(sorted(words)),
    )
    rows = pd.read_csv(tmp_path / "run" / "results.csv").query("site == 'target-500' and split == 'test'")
    auroc = rows.set_index("strategy")["auroc"]
    for strategy, file in (("direct", "kl1_source"), ("full", "kl1_full-target-500")):
        weights = tmp_path / "run" / "weights" / f"one-hot_215_{file}.safetensors"
        yes, chances = probabilities(sites["target-500"], weights, checked.model, embedding)
        assert auroc[strategy] == pytest.approx(
            roc_auc_score(yes.argmax(axis=1), chances, multi_class="ovr", average="macro"), abs=1e-6
        )
    assert auroc["direct"] > 0.81  # measured 0.828
    assert auroc["linear"] > auroc["direct"] + 0.015  # 0.855
    assert auroc["full"] > 0.85  # 0.860
    each = pd.read_csv(tmp_path / "run" / "classes.csv").query("strategy == 'full' and split == 'test'")
    assert each.set_index("class")["auroc"]["influenza"] > 0.955  # as where influenza alone is asked for
