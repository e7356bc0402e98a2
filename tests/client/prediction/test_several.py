"""`sitebridge predict` and `export` for several classes, and for several labels: the scores of training code again."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax
from sklearn.metrics import brier_score_loss, roc_auc_score

from client.preparation import prepare
from client.site_file import load_site
from common.cli import main
from common.config import load_federation
from common.model import ConceptCNN
from common.tasks import Embedding
from common.trained import Asked, open_models
from server.simulate import run

CLASSES = '[cohort.label]\ncolumn = "virus"\nclasses = { flu = ["flu"], rsv = ["rsv"], none = ["none"] }\n'
LABELS = "".join(f'[cohort.labels.{name}]\ncolumn = "{name}"\npositive = ["1"]\n' for name in ("flu", "wheeze"))
MODELS = {"classes": {"classes": ["flu", "rsv", "none"]}, "labels": {"labels": ["flu", "wheeze"]}}
FEDERATION: dict[str, Any] = {
    "name": "several",
    "seeds": [7, 8],
    "embeddings": ["minilm"],
    "strategies": ["direct", "full"],
    "intervals": 100,
    "directions": [{"sources": ["allegheny"], "targets": ["salt-lake"]}],
    "training": {"rounds": 2, "epochs": 1, "batches": 80, "learning_rate": 0.1},
    "tuning": {"rounds": 1, "epochs": 1, "batches": 40, "learning_rate": 0.1},
}
HIDDEN = ["season", "virus", "flu", "wheeze"]
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")


def relabelled(cells: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Give the built-in pair more to tell apart: who is small, and of those who have no influenza who is."""
    flu = cells["influenza"] == "1"
    small = cells["agegroup"] == "ls5" if "agegroup" in cells else cells["age_years"].isin(list("012345"))
    cells = cells.drop(columns="influenza")
    if kind == "classes":
        return cells.assign(virus=np.where(flu, "flu", np.where(small, "rsv", "none")))
    return cells.assign(flu=flu.astype(int), wheeze=small.astype(int))


@dataclass(frozen=True)
class Run:
    """A run, and the target's test encounters without labels."""

    kind: str
    names: list[str]
    folder: Path
    site: Path
    new: Path

    def predict(self, *more: str, model: Path | None = None) -> pd.DataFrame:
        out = self.folder.parent / "scores.csv"
        out.unlink(missing_ok=True)
        words = ["predict", str(self.site), "--model", str(model or self.folder), "--encounters", str(self.new)]
        with contextlib.suppress(SystemExit):
            main([*words, "--out", str(out), *more])
        return pd.read_csv(out, dtype={"encounter_id": str}, keep_default_na=False)

    def trained(self, strategy: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Answers and probabilities (N, C) of the test encounters, in the plainest way."""
        data = prepare(load_site(self.site), MINILM)
        (opened,) = open_models(self.folder, Asked(strategy=strategy, seed=str(seed)))
        model = ConceptCNN(data.table, opened.shape)
        model.load_state_dict(opened.weights)
        test = data.splits["test"]
        logits = model.linear(model.convolve_and_pool(test.tokens.int())).detach().double().numpy()
        labels = test.labels.numpy()
        if self.kind == "labels":
            return labels, expit(logits)
        return (labels[:, None] == np.arange(len(self.names))).astype(np.int64), softmax(logits, axis=1)


@pytest.fixture(scope="module", params=["classes", "labels"])
def several(request: pytest.FixtureRequest, hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two seeds that tells three classes apart, and one that has two labels."""
    folder, content = tmp_path_factory.mktemp(request.param), copy.deepcopy(FEDERATION)
    for name in ("allegheny", "salt-lake"):
        text = (hospitals / f"{name}.toml").read_text()
        start = text.index("[cohort.label]")
        label = CLASSES if request.param == "classes" else LABELS
        (folder / f"{name}.toml").write_text(text[:start] + label + text[text.index("\n[", start) :])
        cells = relabelled(pd.read_csv(hospitals / f"{name}.csv", dtype=str, keep_default_na=False), request.param)
        cells.to_csv(folder / f"{name}.csv", index=False)
    cells[cells["season"] == "season-4"].drop(columns=HIDDEN, errors="ignore").to_csv(folder / "new.csv", index=False)
    content["sites"] = {name: {"file": str(folder / f"{name}.toml")} for name in ("allegheny", "salt-lake")}
    path = folder / "federation.toml"
    path.write_text(tomli_w.dumps(content | {"model": MODELS[request.param]}))
    run(load_federation(path), path, folder / "run")
    (names,) = MODELS[request.param].values()
    return Run(request.param, names, folder / "run", folder / "salt-lake.toml", folder / "new.csv")


def columns(scores: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    return scores[[f"probability_{name}" for name in names]].to_numpy()


def total(scores: pd.DataFrame) -> NDArray[np.float64]:
    """Bias, contributions and the rest of each row."""
    shown = (
        scores[[name for name in map(str, scores) if name.startswith("contribution")]].replace("", "0").astype(float)
    )
    return (scores["bias"] + shown.sum(axis=1) + scores["others"]).to_numpy()


def of_explained(scores: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    places = [names.index(name) for name in scores["explained"]]
    return columns(scores, names)[np.arange(len(scores)), places]


@pytest.mark.parametrize("strategy", ["direct", "full"])
def test_probabilities_are_those_of_training_code_and_of_the_run(several: Run, strategy: str) -> None:
    scores = several.predict("--strategy", strategy, "--seed", "8")
    yes, expected = several.trained(strategy, 8)
    found = columns(scores, several.names)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    table = pd.read_csv(several.folder / "classes.csv").query("split == 'test' and site == 'salt-lake' and seed == 8")
    own = table[table["strategy"] == strategy].set_index("class")
    for q, name in enumerate(several.names):
        assert roc_auc_score(yes[:, q], found[:, q]) == pytest.approx(own.loc[name, "auroc"], abs=1e-6)
        assert brier_score_loss(yes[:, q], found[:, q]) == pytest.approx(own.loc[name, "brier"], abs=1e-6)


def test_the_most_probable_one_is_told_and_explained(several: Run) -> None:
    scores = several.predict("--strategy", "full", "--seed", "7")
    likely = [several.names[q] for q in columns(scores, several.names).argmax(axis=1)]
    assert len(set(likely)) > 1
    assert scores["explained"].tolist() == likely
    assert ("class" in scores) == (several.kind == "classes")
    if several.kind == "classes":
        assert scores["class"].tolist() == likely
    assert "called" not in scores


@pytest.mark.parametrize("explain", [(), ("--explain", "flu")], ids=["likely", "flu"])
def test_a_score_is_the_sum_of_what_is_shown(several: Run, explain: tuple[str, ...]) -> None:
    scores = several.predict("--strategy", "full", "--seed", "7", *explain)
    np.testing.assert_allclose(total(scores), logit(of_explained(scores, several.names)), rtol=0, atol=1e-4)
    if explain:
        assert set(scores["explained"]) == {"flu"}
        assert "class" not in scores or len(set(scores["class"])) > 1


def test_all_seeds_are_averaged(several: Run) -> None:
    which = ("--strategy", "full", "--explain", "flu")
    one, two, both = (several.predict(*which, "--seed", seed) for seed in ("7", "8", "all"))
    mean = (columns(one, several.names) + columns(two, several.names)) / 2
    np.testing.assert_allclose(columns(both, several.names), mean, atol=2e-9)
    logits = (logit(one["probability_flu"]) + logit(two["probability_flu"])) / 2
    np.testing.assert_allclose(total(both), logits, rtol=0, atol=1e-4)


def test_the_last_line_counts_classes(several: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scores = several.predict("--strategy", "full", "--seed", "7")
    said = capsys.readouterr().out
    if several.kind == "labels":
        assert f"{len(scores)} encounters, a probability of each of flu, wheeze; embedding minilm" in said
    else:
        counts = ", ".join(f"{name} {(scores['class'] == name).sum()}" for name in several.names)
        assert f"{len(scores)} encounters, most probable: {counts}; embedding minilm" in said


def test_a_class_that_the_model_does_not_know_is_refused(several: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError):
        several.predict("--strategy", "full", "--seed", "7", "--explain", "cold")
    said = capsys.readouterr().err
    assert f"--explain cold: the model predicts the {several.kind} {', '.join(several.names)}; name one of them" in said


def exported(several: Run, form: str, *more: str) -> Path:
    out = several.folder.parent / "-".join([form, *more[:1]]).replace("--", "")
    with contextlib.suppress(SystemExit):
        words = ["export", str(several.folder), "--form", form, "--out", str(out)]
        main([*words, "--strategy", "full", "--seed", "7", *more])
    return out


def test_onnx_gives_what_training_code_gives(several: Run) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    folder = exported(several, "onnx", "--site", str(several.site))
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == ["N", len(several.names)]
    about = json.loads(session.get_modelmeta().custom_metadata_map["sitebridge"])
    assert about["shape"][several.kind] == several.names
    assert f"encounters x {several.kind} {', '.join(several.names)})" in (folder / "MODEL_CARD.md").read_text()
    rows = pd.read_csv(folder / "vocabulary.csv", dtype=str, keep_default_na=False)
    row_of = {(line.column, line.value): int(line.row) for line in rows.itertuples()}  # type: ignore[arg-type]
    new = pd.read_csv(several.new, dtype=str, keep_default_na=False)
    sources = load_site(several.site).sources
    tokens = [[row_of[s.column, str(s.read(cell.strip()))] for cell in new[s.column]] for s in sources]
    (found,) = session.run(["probabilities"], {"tokens": np.array(tokens, dtype=np.int64).T})
    np.testing.assert_allclose(found, several.trained("full", 7)[1], rtol=0, atol=1e-6)


def test_safetensors_is_all_that_predict_needs(several: Run) -> None:
    folder = exported(several, "safetensors")
    scores = several.predict(model=folder / "model.safetensors")
    pd.testing.assert_frame_equal(scores, several.predict("--strategy", "full", "--seed", "7"))


def test_the_card_tells_of_each(several: Run) -> None:
    card = (exported(several, "safetensors", "--embedding", "minilm") / "MODEL_CARD.md").read_text()
    keys = "strategy == 'full' and seed == 7 and split == 'test'"
    (whole,) = pd.read_csv(several.folder / "results.csv").query(keys).to_dict(orient="records")
    mean = f"{whole['auroc']:.3f} ({whole['auroc_low']:.3f} to {whole['auroc_high']:.3f})"
    assert f"Means over {several.kind}; of them AUROC's alone has an interval." in card
    assert f"| salt-lake | {whole['n']:.0f} | {mean} |" in card
    for row in pd.read_csv(several.folder / "classes.csv").query(keys).to_dict(orient="records"):
        own = f"{row['auroc']:.3f} ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})"
        assert f"| salt-lake | {row['class']} | {row['n']:.0f} | {row['positive']:.0f} | {own} |" in card
    assert f"the probabilities of the {several.kind} {', '.join(several.names)}, in this order" in card
    assert "sensitivity" not in card
    assert "positive" not in card
