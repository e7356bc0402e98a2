"""The commands `embed build`, `embed import` and `embed show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from client.embedding.commands import app
from common.embeddings import Fingerprint, builtin_table, load_table
from common.errors import TableError


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_build_writes_a_table(tiny_model: Path, tmp_path: Path) -> None:
    out, listed = tmp_path / "t.safetensors", tmp_path / "list.csv"
    listed.write_text("token,text\nf_P,fever\nf_A,Not fever\n")
    said = run("build", tiny_model, "--out", out, "--name", "acme/tiny", "--texts", listed, "--pooling", "cls")
    assert said == f"{out}: 2 texts, 8 numbers each\n"
    table = load_table(out)
    assert (table.model, table.pooling, len(table.tokens)) == ("acme/tiny", "cls", 2)


def test_import_writes_a_table(tmp_path: Path) -> None:
    h5py: Any = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["C1 fever"] = np.ones((1, 3), np.float32)
        file["C1 Not fever"] = np.zeros((1, 3), np.float32)
    out = tmp_path / "t.safetensors"
    said = run("import", tmp_path / "t.h5", "--out", out, "--model", "bert-base-uncased", "--pooling", "cls")
    assert said == f"{out}: 2 tokens, 3 numbers each\n"
    table = load_table(out)
    assert (table.model, table.revision, table.pooling) == ("bert-base-uncased", "unknown", "cls")


def test_show_gives_people_a_table_and_programs_json() -> None:
    said = run("show", "builtin:minilm")
    for word in ("all-MiniLM-L6-v2", "706", "384", "probes", "centred"):
        assert word in said
    facts = json.loads(run("show", "builtin:minilm", "--json"))
    shipped = load_table(builtin_table("minilm"))
    assert facts["tokens"] == 706
    assert Fingerprint.from_json(facts["fingerprint"]) == shipped.fingerprint()
    assert json.loads(run("show", builtin_table("minilm"), "--json")) == facts


def test_errors_pass_through_to_the_one_place_that_prints_them(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        run("show", tmp_path / "none.safetensors")
    with pytest.raises(TableError, match="no texts to embed"):
        run("build", tmp_path, "--out", tmp_path / "t.safetensors")
    with pytest.raises(TableError, match="no built-in embedding table"):
        run("show", "builtin:bert")
