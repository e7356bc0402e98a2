"""A model in one GGUF file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.embedding.model import open_model
from common.errors import TableError

gguf: Any = pytest.importorskip("gguf")
pytest.importorskip("accelerate")
transformers: Any = pytest.importorskip("transformers")

D, WIDE, HEADS = 16, 32, 2
PIECES = ["<unk>", "<s>", "</s>", *[f"<0x{n:02X}>" for n in range(256)], "\u2581", "f", "e", "v", "r", "\u2581fever"]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Weights by their GGUF names. Queries and keys are zero: GGUF has their rows in another order."""
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(PIECES), D), "output_norm": (D,), "blk.0.attn_norm": (D,), "blk.0.ffn_norm": (D,)}
    shapes |= {f"blk.0.attn_{name}": (D, D) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (WIDE, D), "blk.0.ffn_up": (WIDE, D), "blk.0.ffn_down": (D, WIDE)}
    zero = ("blk.0.attn_q", "blk.0.attn_k")
    return {name: random.normal(size=s).astype(np.float32) * (name not in zero) for name, s in shapes.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> Path:
    made: Path = tmp_path_factory.mktemp("gguf")
    writer = gguf.GGUFWriter(made / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(D)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(PIECES))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(PIECES)
    writer.add_token_scores([-float(n) for n in range(len(PIECES))])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(PIECES) - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, array in arrays.items():
        writer.add_tensor(f"{name}.weight", array.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


def reference(arrays: dict[str, np.ndarray]) -> Any:
    """The same network, put together by hand."""
    config = transformers.LlamaConfig(
        vocab_size=len(PIECES), hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, intermediate_size=WIDE
    )
    names = {"token_embd": "embed_tokens", "output_norm": "norm", "blk.0.attn_norm": "layers.0.input_layernorm"}
    names |= {"blk.0.ffn_norm": "layers.0.post_attention_layernorm", "blk.0.attn_output": "layers.0.self_attn.o_proj"}
    names |= {f"blk.0.attn_{x}": f"layers.0.self_attn.{x}_proj" for x in "qkv"}
    names |= {f"blk.0.ffn_{x}": f"layers.0.mlp.{x}_proj" for x in ("gate", "up", "down")}
    network = transformers.LlamaModel(config).eval()
    network.load_state_dict({f"{names[n]}.weight": torch.from_numpy(a) for n, a in arrays.items()})
    return network


def test_a_gguf_file_gives_the_vectors_of_its_weights(
    folder: Path, arrays: dict[str, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    model = open_model(str(folder), gguf="tiny.gguf")
    assert capfd.readouterr().err == ""
    texts = ["fever", "fever fever reeve"]
    for text, last in zip(texts, model.embed(texts, "last"), strict=True):
        ids = torch.tensor([model.tokeniser(text)["input_ids"]])
        with torch.no_grad():
            expected = reference(arrays)(input_ids=ids).last_hidden_state[0, -1].numpy()
        np.testing.assert_allclose(last, expected, atol=1e-4)


def test_the_revision_is_the_sha256_of_the_file(folder: Path) -> None:
    expected = hashlib.sha256((folder / "tiny.gguf").read_bytes()).hexdigest()
    assert open_model(str(folder), gguf="tiny.gguf").revision == f"sha256:{expected}"


def test_a_file_that_is_not_there_or_not_named_is_told(folder: Path, tiny_model: Path) -> None:
    with pytest.raises(TableError, match=r"there is no file other\.gguf; it holds tiny\.gguf$"):
        open_model(str(folder), gguf="other.gguf")
    with pytest.raises(TableError, match=r"there is no file other\.gguf; it holds no GGUF file$"):
        open_model(str(tiny_model), gguf="other.gguf")
    with pytest.raises(TableError, match=r"holds tiny\.gguf and no config\.json; name the file with --gguf"):
        open_model(str(folder))
    with pytest.raises(TableError, match=r"tiny\.gguf: a file; expected a model's folder, with --gguf"):
        open_model(str(folder / "tiny.gguf"))


def test_a_file_that_is_damaged_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "half.gguf").write_bytes((folder / "tiny.gguf").read_bytes()[:2000])
    with pytest.raises(TableError, match=r"cannot be opened .*expected a folder with half\.gguf") as raised:
        open_model(str(tmp_path), gguf="half.gguf")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_without_its_packages_the_extra_is_named(package: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import client.embedding.model as opened

    monkeypatch.setattr(opened, "find_spec", lambda name: None if name == package else sys)
    with pytest.raises(TableError, match=rf"needs the package {package}.*'sitebridge\[gguf\]'"):
        open_model(str(folder), gguf="tiny.gguf")
