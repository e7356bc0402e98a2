"""`sitebridge export`: the same scores from another program, a card with the run's figures, and nothing by halves."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from client.prediction import exported
from client.prediction.encounters import read_new
from client.site_file import Site, load_site
from common.cli import main
from common.concepts import Token
from common.embeddings import builtin_table, load_table, save_table
from common.model import initial_weights
from common.shape import ModelShape
from common.tasks import Embedding
from common.trained import Key, TrainedModel
from common.trained.agreement import check_onnx, probabilities, random_encounters, random_table
from common.trained.graph import to_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

Predict = Callable[..., pd.DataFrame]
Fails = Callable[..., str]
FULL = ("--embedding", "minilm", "--strategy", "full", "--seed", "7")


@pytest.fixture
def export(small_run: Path, tmp_path: Path) -> Callable[..., Path]:
    def command(form: str, *more: str, model: Path = small_run) -> Path:
        out = tmp_path / form
        with contextlib.suppress(SystemExit):
            main(["export", str(model), "--form", form, "--out", str(out), *more])
        assert out.is_dir()
        return out

    return command


def rows_by(folder: Path, site_file: Path, table: pd.DataFrame) -> np.ndarray:
    """What a hospital's own program does: cells to values by the site file, values to rows by the vocabulary."""
    with (folder / "vocabulary.csv").open(newline="") as file:
        row_of = {(line["column"], line["value"]): int(line["row"]) for line in csv.DictReader(file)}
    sources = load_site(site_file).sources
    columns = [[row_of[s.column, str(s.read(cell.strip()))] for cell in table[s.column]] for s in sources]
    return np.array(columns, dtype=np.int64).T


@pytest.mark.parametrize("embedding", ["minilm", "one-hot"])
@pytest.mark.parametrize("strategy", ["direct", "recalibrate", "full"])
def test_onnx_gives_what_predict_gives(
    export: Callable[..., Path],
    predict: Predict,
    hospitals: Path,
    held_out: pd.DataFrame,
    embedding: str,
    strategy: str,
) -> None:
    which = ("--embedding", embedding, "--strategy", strategy, "--seed", "7")
    site = hospitals / "salt-lake.toml"
    folder = export("onnx", "--site", str(site), *which)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    tokens = rows_by(folder, site, held_out)
    (found,) = session.run(["probabilities"], {"tokens": tokens})
    scores = predict(*which)["probability"].to_numpy()
    np.testing.assert_allclose(found[:, 1], scores, rtol=0, atol=1e-6)
    assert scores.std() > 0.01


def test_without_a_site_the_table_is_asked_for(export: Callable[..., Path]) -> None:
    folder = export("onnx", *FULL)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert {given.name: given.shape for given in session.get_inputs()} == {
        "tokens": ["N", "L"],
        "vectors": ["V", 2 * 384],
    }
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "MODEL_CARD.md"}


def test_vectors_of_a_table_are_not_in_the_file(export: Callable[..., Path], hospitals: Path) -> None:
    import onnx

    folder = export("onnx", "--site", str(hospitals / "salt-lake.toml"), *FULL)
    held = {array.name: tuple(array.dims) for array in onnx.load(folder / "model.onnx").graph.initializer}
    assert held["rows"][1] == 100
    assert set(held) == {"rows", "axis", "head", "head_bias"}
    assert "licence" in (folder / "MODEL_CARD.md").read_text()


def test_tokens_without_a_row_that_nobody_has(
    export: Callable[..., Path], small_run: Path, hospitals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of the tokens that the site's encounters have is enough; the others are no token, and are named."""
    folder = shutil.copytree(small_run, tmp_path / "folder")
    text = (folder / "federation.toml").read_text().replace('unknown = "mask"', 'unknown = "keep"')
    (folder / "federation.toml").write_text(text)
    embedding = Embedding(name="minilm", normalisation="centred", unknown="keep", absence="sentence")
    own = load_table(builtin_table("minilm"))
    site = load_site(hospitals / "salt-lake.toml")
    used = {site_token.name for site_token in _used(site, embedding)}
    kept = [place for place, token in enumerate(own.tokens) if not token.name.endswith("_M") or token.name in used]
    vectors = np.concatenate([own.vectors[:1], own.vectors[1:][kept]])
    save_table(
        dataclasses.replace(own, vectors=vectors, tokens=tuple(own.tokens[k] for k in kept)), tmp_path / "t.safetensors"
    )
    for name in ("salt-lake.csv", "salt-lake.toml"):
        (tmp_path / name).write_text((hospitals / name).read_text().replace("builtin:minilm", "t.safetensors"))
    missing = [token.name for token in site.vocabulary if token.name.endswith("_M") and token.name not in used]
    assert missing
    made_ = export("onnx", *FULL, "--site", str(tmp_path / "salt-lake.toml"), model=folder)
    assert f"the table has no row for: {len(missing)};" in capsys.readouterr().out
    assert missing[0] in (made_ / "MODEL_CARD.md").read_text()
    table = pd.read_csv(made_ / "vocabulary.csv", keep_default_na=False)
    silent = table[table["row"] == 0]
    assert (silent["concept"] + "_" + silent["value"]).tolist() == missing


def _used(site: Site, embedding: Embedding) -> list[Token]:
    new = read_new(site, site.files[-1], embedding)
    return [new.vocabulary[number - 1] for number in new.used(embedding)]


TWO, CLASSES, LABELS = ModelShape(), ModelShape(classes=("a", "b", "c")), ModelShape(labels=("a", "b", "c"))


def made(kernel: int, dimension: int, size: float = 1.0, shape: ModelShape = TWO) -> TrainedModel:
    shape = shape.model_copy(update={"kernel": kernel, "filters": 20})
    embedding = Embedding(name="x", normalisation="centred", unknown="mask", absence="sentence")
    weights = {name: value * size for name, value in initial_weights(dimension, shape, 3).items()}
    return TrainedModel(Key("x", 3, "a", "source"), weights, shape, embedding, 0.2, None, (), "run")


@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("baked", [True, False])
@pytest.mark.parametrize("shape", [TWO, CLASSES, LABELS], ids=["two", "classes", "labels"])
def test_the_graph_is_the_model(kernel: int, baked: bool, shape: ModelShape) -> None:
    model, table = made(kernel, 48, 3.0, shape), random_table(30, 48)
    tokens = random_encounters(30, 9)
    assert (tokens == 0).all(dim=1).any()  # an encounter of which nothing is known
    content = to_onnx(model, table if baked else None)
    assert "at most" in check_onnx(content, model, table, baked, {"random": tokens})
    assert content == to_onnx(model, table if baked else None)
    found = probabilities(model.over(table), tokens)
    assert found[:, 1].std() > 0.001
    assert np.allclose(found.sum(axis=1), 1) == (shape.labels is None)


def test_other_weights_are_noticed_and_nothing_is_written(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(model: TrainedModel, table: torch.Tensor | None) -> bytes:
        head = model.weights["linear.bias"] + torch.tensor([0.0, 2e-5])
        return to_onnx(dataclasses.replace(model, weights=model.weights | {"linear.bias": head}), table)

    monkeypatch.setattr(exported, "to_onnx", spoilt)
    said = fails(*FULL, "--form", "onnx", command="export", out=tmp_path / "spoilt")
    assert "nothing is written: on random encounters the exported model is" in said
    assert not list(tmp_path.glob("*spoilt*"))


def test_safetensors_is_all_that_predict_needs(
    export: Callable[..., Path], predict: Predict, fails: Fails, hospitals: Path
) -> None:
    folder = export("safetensors", *FULL, "--site", str(hospitals / "salt-lake.toml"))
    model = folder / "model.safetensors"
    pd.testing.assert_frame_equal(predict(model=model), predict(*FULL))
    assert "no model is as asked for" in fails("--seed", "8", model=model)
    again = model.read_bytes().replace(b"sitebridge-model-1", b"sitebridge-model-9")
    model.write_bytes(again)
    assert "not a model that this version of Sitebridge wrote: its format is" in fails(model=model)


def test_the_card_tells_the_runs_figures(export: Callable[..., Path], small_run: Path) -> None:
    card = (export("safetensors", *FULL) / "MODEL_CARD.md").read_text()
    table = pd.read_csv(small_run / "results.csv").query(
        "strategy == 'full' and seed == 7 and embedding == 'minilm' and split == 'test'"
    )
    row = table.iloc[0]
    assert f"{row['auroc']:.3f} ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})" in card
    assert f"| salt-lake | {row['n']:.0f} | {row['positive']:.0f} |" in card
    rounds = pd.read_csv(small_run / "rounds.csv").query("embedding == 'minilm' and seed == 7")
    at_source = rounds.query("phase == 'source' and round == 1")["encounters"].iloc[0]
    tuned = rounds.query("phase == 'full'")["encounters"].iloc[0]
    assert f"(training encounters: allegheny {at_source})" in card
    assert f"(training encounters: salt-lake {tuned})" in card
    assert str(small_run) not in card


def test_the_card_of_a_source_tells_of_every_site_that_scored_it(export: Callable[..., Path]) -> None:
    card = (
        export("safetensors", "--embedding", "minilm", "--strategy", "source", "--seed", "7") / "MODEL_CARD.md"
    ).read_text()
    assert "| allegheny |" in card
    assert "| salt-lake |" in card


def test_what_cannot_be_exported_is_said(fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    form = ("--form", "onnx")
    assert "a file holds one model" in fails(*FULL[:4], "--seed", "all", *form, command="export", out=out)
    assert "say which by" in fails(*form, command="export", out=out)
    for missing in ("onnx", "onnxruntime"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, missing, None)
            assert "pip install 'sitebridge[onnx]'" in fails(*FULL, *form, command="export", out=out)
    out.mkdir()
    (out / "kept").write_text("precious")
    assert "already there and not empty" in fails(*FULL, *form, command="export", out=out)
    assert [path.name for path in out.iterdir()] == ["kept"]
