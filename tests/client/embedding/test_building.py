"""The command `embed build`: its options, what a person is asked, and what is written."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from client.embedding import consent
from client.embedding.commands import app
from common.embeddings import PROBE_PHRASES, load_table
from common.errors import TableError

KEY = "sk-very-secret"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text("token,text\nf_P,fever\nf_A,Not fever\n")
    return tmp_path / "list.csv"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "t.safetensors"


def run(*words: object, answer: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["build", *map(str, words)], input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_second_build_says_what_came_from_the_cache(tiny_model: Path, listed: Path, out: Path) -> None:
    run(tiny_model, "--out", out, "--name", "acme/tiny", "--texts", listed)
    listed.write_text("token,text\nf_P,fever\nc_P,cough\n")
    said = run(tiny_model, "--out", out, "--name", "acme/tiny", "--texts", listed)
    assert said.stdout == f"{out}: 2 texts, 8 numbers each, 1 of them from the cache\n"
    assert said.stderr == ""


def test_the_cache_is_where_it_is_asked_to_be(tiny_model: Path, listed: Path, out: Path, tmp_path: Path) -> None:
    words = (tiny_model, "--out", out, "--name", "acme/tiny", "--texts", listed, "--cache", tmp_path / "here")
    run(*words)
    parts = [path for path in (tmp_path / "here").rglob("*.safetensors") if path.stem != "probes"]
    assert len(parts) == 1
    parts[0].write_bytes(b"damaged")
    assert run(*words).stderr == "damaged parts of the cache, thrown away and made again: 1\n"


def test_pooling_and_prefix_are_recorded(tiny_model: Path, listed: Path, out: Path) -> None:
    run(tiny_model, "--out", out, "--name", "acme/tiny", "--texts", listed, "--pooling", "last", "--prefix", "a ")
    assert load_table(out).pooling == 'last, prefix "a "'


def test_options_that_do_not_go_together_are_refused(listed: Path, out: Path, tiny_model: Path) -> None:
    with pytest.raises(TableError, match="--pooling, --gguf: only with a model on this machine"):
        run("m", "--out", out, "--texts", listed, "--service", "https://h/v1", "--pooling", "cls", "--gguf", "x")
    with pytest.raises(TableError, match=r"--dimensions, --yes: only with a service \(--service\)"):
        run(tiny_model, "--out", out, "--texts", listed, "--dimensions", "3", "--yes")


def test_a_service_on_this_machine_is_not_asked_about(service: Any, listed: Path, out: Path) -> None:
    said = run("acme-small", "--service", service.url, "--out", out, "--texts", listed, "--prefix", "query: ")
    assert said.stdout == f"{out}: 2 texts, 6 numbers each\n"
    characters = sum(len("query: " + text) for text in [*PROBE_PHRASES, "fever", "Not fever"])
    assert f"34 texts, {characters:,} characters" in said.stderr
    assert "leave this machine" not in said.stderr
    table = load_table(out)
    assert (table.model, table.pooling) == ("acme-small", 'service, prefix "query: "')


@pytest.fixture
def elsewhere(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the service on loopback pass for one that is far away."""
    import client.embedding.address as address
    import client.embedding.door as door

    for module in (address, door):
        monkeypatch.setattr(module, "is_loopback", lambda url: False)
    monkeypatch.setattr(door, "check_url", lambda url: url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return service


def test_nothing_leaves_where_nobody_can_agree(elsewhere: Any, listed: Path, out: Path) -> None:
    with pytest.raises(TableError, match="nobody is here to agree; run it on a terminal, or with --yes"):
        run("acme-small", "--service", elsewhere.url, "--out", out, "--texts", listed, answer="y\n")
    assert elsewhere.requests == []
    assert not out.exists()


def test_a_person_is_told_and_asked(elsewhere: Any, listed: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "at_terminal", lambda: True)
    words = ("acme-small", "--service", elsewhere.url, "--out", out, "--texts", listed)
    with pytest.raises(TableError, match="nothing was sent"):
        run(*words, answer="n\n")
    assert elsewhere.requests == []
    said = run(*words, answer="y\n")
    assert f"leave this machine for {elsewhere.url}" in said.stderr
    assert "'fever', 'Not fever'" in said.stderr
    assert "not patient data" in said.stderr
    assert KEY not in said.output
    assert len(elsewhere.requests) == 2
    assert load_table(out).model == "acme-small"


def test_yes_agrees_and_the_warning_is_still_shown(elsewhere: Any, listed: Path, out: Path) -> None:
    said = run("acme-small", "--service", elsewhere.url, "--out", out, "--texts", listed, "--yes", "--name", "acme/s")
    assert "leave this machine" in said.stderr
    assert load_table(out).model == "acme/s"


def test_the_estimate_counts_texts_characters_and_money() -> None:
    assert consent.estimate(["a" * 10, "b" * 20], "q: ", 2.0) == (
        "2 texts, 36 characters: about 7 to 12 tokens, less than 0.01 at 2 a million"
    )
    assert "about 1.20 to 2.00 at 2 a million" in consent.estimate(["a" * 3_000_000], price=2.0)
    assert "--price-per-million" in consent.estimate(["a"])


def test_the_estimate_does_not_take_chinese_for_english() -> None:
    assert consent.estimate(["\u767c\u71d2"], "q: ").startswith("1 texts, 5 characters: about 1 to 7 tokens")


@pytest.mark.parametrize("url", ["", "https://[me:secret@host/v1", "https://me:secret@host/v1"])
def test_an_address_that_is_none_is_said_whatever_else_is_asked(
    url: str, listed: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(TableError, match="--service: expected an address such as") as raised:
        run("m", "--out", out, "--texts", listed, "--service", url, "--yes")
    assert "secret" not in str(raised.value)


def test_the_extras_that_errors_name_bring_what_lacks() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = {
        name: {re.split(r"[^\w\[\].-]", line)[0] for line in lines}
        for name, lines in project["optional-dependencies"].items()
    }
    assert extras["embed"] >= {"transformers", "h5py"}
    assert extras["gguf"] >= {"sitebridge[embed]", "gguf", "accelerate"}
    assert extras["test"] >= extras["gguf"] - {"sitebridge[embed]"}
    assert any(line.startswith("httpx>") for line in project["dependencies"])  # a service needs no extra


LIGHT = """
import sys
import client.embedding.commands, client.embedding.building
assert "torch" not in sys.modules and "httpx" not in sys.modules
import client.embedding.build, client.embedding.service
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


def test_the_command_line_and_a_service_do_without_torch() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
