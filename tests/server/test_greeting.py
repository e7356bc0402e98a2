"""Sites in different embedding spaces, or of different versions, do not train together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.agent import Agent
from common.config import Federation
from common.embeddings import builtin_table, load_table, save_table
from common.errors import SiteError
from common.tasks import Answer
from server.simulate import run

Make = Callable[..., Federation]


@pytest.fixture
def with_table(hospitals: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Give Salt Lake a table that differs from Allegheny's in some fields; gives the federation's [sites]."""

    def make(**changes: Any) -> dict[str, Any]:
        table = load_table(builtin_table("minilm"))
        save_table(replace(table, **changes), tmp_path / "other.safetensors")
        text = (hospitals / "salt-lake.toml").read_text().replace("builtin:minilm", "other.safetensors")
        (tmp_path / "salt-lake.toml").write_text(text)
        (tmp_path / "salt-lake.csv").write_bytes((hospitals / "salt-lake.csv").read_bytes())
        files = {"allegheny": hospitals / "allegheny.toml", "salt-lake": tmp_path / "salt-lake.toml"}
        return {name: {"file": str(file)} for name, file in files.items()}

    return make


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"model": "another/model"}, "model"), ({"revision": "sha256:0"}, "revision"), ({"pooling": "cls"}, "pooling")],
)
def test_another_space_is_refused_by_name(
    federation: Make, with_table: Callable[..., dict[str, Any]], tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(SiteError) as error:
        run(federation(sites=with_table(**changes)), tmp_path / "federation.toml", tmp_path / "run")
    assert "embedding 'minilm': sites allegheny and salt-lake are in different spaces" in str(error.value)
    assert words in str(error.value)


def test_the_same_table_in_another_file_is_the_same_space(
    federation: Make, with_table: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    one = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    checked = federation(sites=with_table(), directions=one, strategies=["direct"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    assert (tmp_path / "run" / "results.csv").exists()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("{", "its greeting cannot be read"),
        ('{"version": "0.1.0", "vocabulary": [], "fingerprint": 3}', "its greeting cannot be read"),
        (
            '{"version": "9.9", "vocabulary": [], "fingerprint": {}}',
            "site allegheny runs Sitebridge '9.9', the coordinator",
        ),
    ],
)
def test_a_greeting_that_is_not_ours(
    federation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: str, words: str
) -> None:
    monkeypatch.setattr(Agent, "_greet", lambda self, task: Answer("ok", self.name, facts=facts))
    with pytest.raises(SiteError, match=words):
        run(federation(), tmp_path / "federation.toml", tmp_path / "run")
