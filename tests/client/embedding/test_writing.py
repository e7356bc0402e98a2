"""Writing a large table row by row."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from client.embedding.writing import write_table
from common.concepts import Token
from common.embeddings import EmbeddingTable, load_table, make_table, save_table
from common.errors import TableError

WORDS = {"key": "text", "model": 'acme/\u00e9 "quoted"', "revision": "sha256:1", "pooling": 'mean, prefix "q: "'}
TOKENS = [Token(f"t{n}", f"text \u00e4 \u6f22 \\ {n}") for n in range(7)]


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


@pytest.fixture
def space() -> EmbeddingTable:
    probes = np.random.default_rng(1).normal(size=(32, 5)).astype(np.float32)
    return make_table(probes, [Token(f"p{n}", f"probe {n}") for n in range(32)], probes=probes, **WORDS)


@pytest.mark.parametrize("more", range(8))  # letters: safetensors pads its header to 8 bytes
def test_the_bytes_are_those_of_save_table(more: int, tmp_path: Path, rows: np.ndarray, space: EmbeddingTable) -> None:
    tokens = [*TOKENS[:6], Token("t6", "text" + more * "x")]
    found = [(np.array([4, 0, 6]), rows[[4, 0, 6]]), (np.array([1, 2, 3, 5]), rows[[1, 2, 3, 5]])]
    write_table(tmp_path / "streamed.safetensors", space, tokens, found)
    save_table(make_table(rows, tokens, probes=space.probes, **WORDS), tmp_path / "whole.safetensors")
    assert (tmp_path / "streamed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    np.testing.assert_array_equal(load_table(tmp_path / "streamed.safetensors").vectors[1:], rows)


def test_a_token_without_a_vector_leaves_the_old_table(tmp_path: Path, rows: np.ndarray, space: EmbeddingTable) -> None:
    (tmp_path / "t.safetensors").write_bytes(b"old")
    with pytest.raises(TableError, match="2 of 7 vectors were lost"):
        write_table(tmp_path / "t.safetensors", space, TOKENS, [(np.arange(5), rows[:5])])
    assert os.listdir(tmp_path) == ["t.safetensors"]
    assert (tmp_path / "t.safetensors").read_bytes() == b"old"


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, rows: np.ndarray, space: EmbeddingTable) -> None:
    def found() -> object:
        yield np.arange(5), rows[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(tmp_path / "t.safetensors", space, TOKENS, found())  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []
