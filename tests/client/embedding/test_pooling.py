"""Taking one vector from a model's last layer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.embedding import pooling
from client.embedding.build import build_table
from client.embedding.local import open_local
from client.embedding.model import LanguageModel, open_model
from common.concepts import Token
from common.errors import TableError

HIDDEN = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [8.0, 9.0]], [[6.0, 0.0], [0.0, 3.0], [3.0, 3.0]]])  # (2, 3, 2)
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])  # the first text has two pieces
TEXTS = ["fever", "dry cough on the fever of a cough", "not fever"]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (pooling.first_piece, [[1, -2], [6, 0]]),
        (pooling.last_piece, [[3, -4], [3, 3]]),
        (pooling.mean, [[2, -3], [3, 2]]),
        (pooling.largest, [[3, -2], [6, 3]]),
        (pooling.mean_by_root, [[4 / 2**0.5, -6 / 2**0.5], [9 / 3**0.5, 6 / 3**0.5]]),
        (pooling.weighted_mean, [[7 / 3, -10 / 3], [15 / 6, 15 / 6]]),
    ],
)
def test_a_pooling_leaves_padding_out(pool: pooling.Pool, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(pool(HIDDEN, MASK).numpy(), expected, rtol=1e-6)


def states(model: LanguageModel, text: str) -> Any:
    with torch.no_grad():
        ids = torch.tensor([model.tokeniser([text])["input_ids"][0]])
        return model.network(input_ids=ids).last_hidden_state[0].numpy()  # (pieces, D)


def test_a_decoder_gives_its_last_piece_or_the_mean_whatever_side_its_tokeniser_pads(tiny_decoder: Path) -> None:
    model = open_model(str(tiny_decoder))
    assert model.tokeniser.padding_side == "right"
    assert model.tokeniser.pad_token == "[SEP]"
    for text, last, mean in zip(TEXTS, model.embed(TEXTS, "last"), model.embed(TEXTS, "mean"), strict=True):
        np.testing.assert_allclose(last, states(model, text)[-1], atol=1e-5)
        np.testing.assert_allclose(mean, states(model, text).mean(axis=0), atol=1e-5)


def test_a_decoder_s_piece_that_pads_is_not_taken_for_the_text_s_own(tiny_decoder: Path) -> None:
    model = open_model(str(tiny_decoder))
    texts = ["fever [SEP]", TEXTS[1]]  # ends with the very piece that pads
    np.testing.assert_allclose(model.embed(texts, "last")[0], states(model, texts[0])[-1], atol=1e-5)


def test_without_any_piece_to_pad_with_a_model_is_refused(tiny_decoder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    shutil.copytree(tiny_decoder, tmp_path, dirs_exist_ok=True)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(TableError, match="no piece to pad with"):
        open_model(str(tmp_path))


def test_texts_without_a_word_piece_are_refused(tiny_decoder: Path) -> None:
    model = open_model(str(tiny_decoder))
    with pytest.raises(TableError, match="makes no word piece of 1 texts"):
        model.embed(["fever", " "], "last")


def test_of_an_encoder_and_a_decoder_only_the_encoder_is_used(tiny_model: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(vocab_size=13, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    torch.manual_seed(2)
    transformers.T5EncoderModel(config).save_pretrained(tmp_path)  # as sentence-t5 comes: there is no decoder in it
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    model = open_model(str(tmp_path))
    for text, mean in zip(TEXTS, model.embed(TEXTS, "mean"), strict=True):
        np.testing.assert_allclose(mean, states(model, text).mean(axis=0), atol=1e-5)


def test_long_texts_are_cut_where_the_model_ends(tmp_path: Path, tiny_model: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=6,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    model = open_local(str(tmp_path))
    long, cut = model.embed(["fever " * 9, "fever " * 4])
    np.testing.assert_allclose(long, cut, atol=1e-6)
    assert model.origin.more != open_local(str(tiny_model)).origin.more  # nor are such vectors kept for others


def test_a_prefix_is_read_with_the_text_and_tells_tables_apart(tiny_model: Path) -> None:
    model = open_model(str(tiny_model))
    prefixed = open_local(str(tiny_model), prefix="not ")
    np.testing.assert_allclose(prefixed.embed(["fever"]), model.embed(["not fever"]), atol=1e-6)
    assert prefixed.origin.word == 'mean, prefix "not "'
    assert open_local(str(tiny_model)).origin.word == "mean"


def test_poolings_of_a_decoder_are_told_apart_by_the_fingerprint(tiny_decoder: Path) -> None:
    tokens = [Token("a", "fever"), Token("b", "cough")]
    last = build_table(str(tiny_decoder), tokens, name="acme/tiny", pooling="last")
    mean = build_table(str(tiny_decoder), tokens, name="acme/tiny", pooling="mean")
    assert last.fingerprint().difference(mean.fingerprint()) == ["pooling: last and mean"]
