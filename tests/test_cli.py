"""The command line: one message and exit code 1 for what a person can mend, 2 for usage, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from common.cli import main

Write = Callable[..., Path]


def fail(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command that must fail; its exit code, and what it said on standard error."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return int(exit_.value.code or 0), said.err


def simulate(path: Path, tmp_path: Path) -> list[str]:
    return ["simulate", str(path), "--out", str(tmp_path / "run")]


def test_a_broken_federation_file(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = fail(simulate(write(trainings={}), tmp_path), capsys)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("Error: ")
    assert "unknown key trainings; did you mean training?" in said


def test_a_missing_federation_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = fail(simulate(tmp_path / "none.toml", tmp_path), capsys)
    assert (code, said) == (1, f"Error: {tmp_path / 'none.toml'}: no such file\n")


def test_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(["simulate"], capsys)[0] == 2
    assert fail(["simulat"], capsys)[0] == 2


def spoil(hospitals: Path, folder: Path, table: Callable[[str], str], site: Callable[[str], str]) -> dict[str, Any]:
    """Both hospitals, one of them spoilt; gives the federation's [sites]."""
    for name in ("allegheny", "salt-lake"):
        for end in ("csv", "toml"):
            (folder / f"{name}.{end}").write_text((hospitals / f"{name}.{end}").read_text())
    (folder / "allegheny.csv").write_text(table((hospitals / "allegheny.csv").read_text()))
    (folder / "allegheny.toml").write_text(site((hospitals / "allegheny.toml").read_text()))
    return {name: {"file": str(folder / f"{name}.toml")} for name in ("allegheny", "salt-lake")}


SPOILT: list[tuple[str, Callable[[str], str], Callable[[str], str], str]] = [
    ("a cell", lambda text: text.replace(",P,", ",p!,", 1), str, "allegheny.csv"),
    ("no rows", lambda text: text.splitlines()[0] + "\n", str, "allegheny.csv"),
    ("no label", lambda text: text.replace("influenza", "flu", 1), str, '"influenza"'),
    (
        "a site key",
        str,
        lambda text: text.replace("[policy]", "[polices]"),
        "unknown key polices; did you mean policy?",
    ),
    ("no table", str, lambda text: text.replace("minilm =", "maxilm ="), "no table for embedding 'minilm'"),
    ("table away", str, lambda text: text.replace("builtin:minilm", "gone.safetensors"), "gone.safetensors"),
    ("its policy", str, lambda text: text.replace('"source", ', ""), "policy.strategies does not allow 'source'"),
    ("its name", str, lambda text: text.replace('"allegheny"', '"pittsburgh"'), "answers as 'pittsburgh'"),
]


@pytest.mark.parametrize(("_what", "table", "site", "words"), SPOILT, ids=[case[0] for case in SPOILT])
def test_what_is_wrong_at_a_site_is_said_in_the_sites_words(
    hospitals: Path,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    _what: str,
    table: Callable[[str], str],
    site: Callable[[str], str],
    words: str,
) -> None:
    code, said = fail(simulate(write(sites=spoil(hospitals, tmp_path, table, site)), tmp_path), capsys)
    assert code == 1
    assert words in said
    assert not (tmp_path / "run" / "results.csv").exists()


def test_a_damaged_table(hospitals: Path, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    save_file({"vectors": np.zeros((3, 4), np.float32)}, tmp_path / "bad.safetensors")
    sites = spoil(hospitals, tmp_path, str, lambda text: text.replace("builtin:minilm", "bad.safetensors"))
    code, said = fail(simulate(write(sites=sites), tmp_path), capsys)
    assert (code, said.count("\n")) == (1, 2)  # what the coordinator hears, and the site's own words
    assert "site allegheny: the site's embedding table is missing, damaged" in said
    assert "bad.safetensors" in said


def test_a_run_never_writes_over_another(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.csv").write_text("precious")
    code, said = fail(simulate(write(), tmp_path), capsys)
    assert (code, "already there and not empty" in said) == (1, True)
    assert (tmp_path / "run" / "results.csv").read_text() == "precious"


def test_a_run_ends_with_the_table_and_the_folder(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(simulate(write(embeddings=["minilm", "one-hot"]), tmp_path))
    said = capsys.readouterr()
    assert exit_.value.code in (0, None)
    assert said.err == ""
    for word in ("minilm", "one-hot", "local", "direct", "linear", "full", "95 % interval", str(tmp_path / "run")):
        assert word in said.out
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "curves.csv",
        "updates.csv",
        "events.jsonl",
        "exchange.csv",
        "federation.toml",
        "results.csv",
        "results.json",
        "rounds.csv",
        "weights",
    }


def test_help_imports_neither_torch_nor_flower() -> None:
    code = "import sys; from common.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'flwr', 'pandas', 'pydantic'} & set(sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "simulate" in said
