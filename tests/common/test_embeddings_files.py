"""Embedding tables on disk: round trip, and every kind of broken file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from common.concepts import Token
from common.embeddings import PROBE_PHRASES, EmbeddingTable, load_table, make_table, one_hot, save_table
from common.embeddings.files import _digest
from common.errors import TableError

TOKENS = [Token("fever_P", "fever"), Token("fever_A", "Not fever"), Token("cough_P", "dry cough")]
Arrays = dict[str, Any]
About = dict[str, Any]


@pytest.fixture
def table() -> EmbeddingTable:
    numbers = np.random.default_rng(0).normal(size=(3 + len(PROBE_PHRASES), 4)).astype(np.float32)
    return make_table(numbers[:3], TOKENS, key="text", model="tiny", revision="1", pooling="mean", probes=numbers[3:])


def test_what_is_read_is_what_was_written(table: EmbeddingTable, tmp_path: Path) -> None:
    for written in (table, one_hot(TOKENS)):
        save_table(written, tmp_path / "t.safetensors")
        read = load_table(tmp_path / "t.safetensors")
        for name in ("vectors", "centre", "probes"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        for name in ("tokens", "key", "model", "revision", "pooling", "normalisation", "centre_of", "scale"):
            assert getattr(read, name) == getattr(written, name)
        assert read.fingerprint() == written.fingerprint()


def test_the_same_table_gives_the_same_bytes(table: EmbeddingTable, tmp_path: Path) -> None:
    contents = set()
    for _ in range(5):
        save_table(table, tmp_path / "t.safetensors")
        contents.add((tmp_path / "t.safetensors").read_bytes())
    assert len(contents) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


def test_a_write_that_fails_leaves_the_old_table_and_no_litter(
    table: EmbeddingTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.safetensors"
    save_table(one_hot(TOKENS), path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(TableError, match="cannot be written: No space left on device"):
        save_table(table, path)
    assert load_table(path).model == "one-hot"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_named(table: EmbeddingTable, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no folder"):
        save_table(table, tmp_path / "none" / "t.safetensors")


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    with pytest.raises(TableError, match="no such file"):
        load_table(path)
    path.write_text("token,text\n")
    with pytest.raises(TableError, match="not a safetensors file"):
        load_table(path)
    save_file({"vectors": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(TableError, match="without Sitebridge's metadata"):
        load_table(path)
    save_file({"vectors": np.zeros((2, 2), np.float32)}, path, metadata={"sitebridge": "[]"})
    with pytest.raises(TableError, match="without Sitebridge's metadata"):
        load_table(path)


def test_a_file_cut_short_is_refused(table: EmbeddingTable, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_table(table, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TableError, match="not a safetensors file"):
        load_table(path)


def put(row: int, number: float) -> Callable[[Arrays, About], None]:
    def change(arrays: Arrays, _: About) -> None:
        arrays["vectors"][row, 0] = number

    return change


def replace(**arrays: Any) -> Callable[[Arrays, About], None]:
    return lambda held, _: held.update(arrays)


def say(**words: Any) -> Callable[[Arrays, About], None]:
    return lambda _, about: about.update(words)


FIVE = [[f"t{i}", f"t{i}"] for i in range(5)]
TWICE = [["a", "Dry-cough"], ["b", "x"], ["c", "Dry cough"]]
BROKEN: dict[str, tuple[Callable[[Arrays, About], None], str]] = {
    "no vectors": (lambda arrays, _: arrays.pop("vectors"), "no tensor 'vectors'"),
    "no centre": (lambda arrays, _: arrays.pop("centre"), "no tensor 'centre'"),
    "stranger": (replace(patients=np.zeros(2, np.float32)), "unexpected tensor 'patients'"),
    "no model": (lambda _, about: about.pop("model"), "metadata lacks the word 'model'"),
    "empty model": (say(model=""), "model is empty"),
    "no scale": (lambda _, about: about.pop("scale"), "metadata lacks the number 'scale'"),
    "scale": (say(scale=1.0), "the scale by the spread of the probes vectors is .* Got 1 instead"),
    "no tokens": (say(tokens=["fever"]), "metadata lacks the list 'tokens'"),
    "other format": (say(format="sitebridge-embeddings-9"), "this version of Sitebridge reads"),
    "float64": (replace(vectors=np.zeros((4, 4))), "vectors must be float32. Got float64 instead"),
    "flat": (replace(vectors=np.zeros(4, np.float32)), r"vectors must have shape \(V, D\)"),
    "centre shape": (replace(centre=np.zeros(5, np.float32)), r"centre must have shape \(4,\). Got \(5,\) instead"),
    "centre": (replace(centre=np.ones(4, np.float32)), "the centre is not the mean of the probes"),
    "few probes": (replace(probes=np.zeros((2, 4), np.float32)), r"probes must have shape \(32, 4\)"),
    "other probes": (say(probe_phrases="0"), "another list of probe phrases"),
    "no probes": (lambda arrays, _: arrays.pop("probes"), "the table has no probe vectors"),
    "row 0": (put(0, 1.0), "row 0 must be zeros"),
    "not finite": (put(2, np.inf), r"1 rows hold numbers that are not finite, such as rows \[2\]"),
    "too many tokens": (say(tokens=FIVE), "5 tokens for 4 rows"),
    "token twice": (say(tokens=TWICE), "1 tokens come more than once by text"),
    "empty text": (say(tokens=[["a", " "], ["b", "x"], ["c", "y"]]), "1 tokens have an empty text"),
    "other key": (say(key="code"), "key must be one of text, token. Got 'code' instead"),
    "normalisation": (say(normalisation="unit"), "normalisation must be one of centred, raw. Got 'unit' instead"),
}


@pytest.fixture
def rewrite(table: EmbeddingTable, tmp_path: Path) -> Callable[[Callable[[Arrays, About], None], bool], Path]:
    """Write a table changed in one respect, with a SHA-256 that fits the change or, not `honest`, does not."""

    def write(change: Callable[[Arrays, About], None], honest: bool = True) -> Path:
        path = tmp_path / "t.safetensors"
        save_table(table, path)
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name).copy() for name in ("vectors", "centre", "probes")}
            about = json.loads(file.metadata()["sitebridge"])
        change(arrays, about)
        if honest:
            about["sha256"] = _digest(arrays, about["tokens"])
        save_file(arrays, path, metadata={"sitebridge": json.dumps(about)})
        return path

    return write


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_table_is_one_clear_error(change: Any, message: str, rewrite: Any) -> None:
    path = rewrite(change)
    with pytest.raises(TableError, match=message) as raised:
        load_table(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "problems" not in str(raised.value), "one thing is wrong, and one is said"


@pytest.mark.parametrize("change", [put(1, 0.5), say(tokens=[["a", "fever"], ["b", "x"], ["c", "y"]])])
def test_a_table_that_is_not_what_was_written_is_damaged(change: Any, rewrite: Any) -> None:
    path = rewrite(change, honest=False)
    with pytest.raises(TableError, match="the file is damaged"):
        load_table(path)


def test_everything_wrong_is_said_at_once(rewrite: Any) -> None:
    def change(arrays: Arrays, about: About) -> None:
        arrays["vectors"][0, 0] = 1.0
        arrays["vectors"][3, 0] = np.nan
        about["tokens"] = TWICE[:1] * 2

    path = rewrite(change)
    with pytest.raises(TableError) as raised:
        load_table(path)
    for part in ("4 problems", "row 0 must be zeros", "not finite", "2 tokens for 4 rows", "more than once"):
        assert part in str(raised.value)


def test_half_precision_is_refused(tmp_path: Path, rewrite: Any) -> None:
    path = rewrite(replace(vectors=np.zeros((4, 4), np.float16)))
    with pytest.raises(TableError, match="vectors must be float32"):
        load_table(path)
