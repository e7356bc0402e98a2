from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from common.cli import main

Change = Callable[[str, Callable[[pd.DataFrame], pd.DataFrame]], None]


def fail(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(folder)])
    said = capsys.readouterr()
    assert (exit_.value.code, said.out, said.err.count("\n")) == (1, "", 1)
    return said.err


def report(*arguments: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["report", *arguments])
    assert exit_.value.code == 0


def test_the_report_lies_in_the_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(str(folder))
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    report(str(folder), "--out", str(tmp_path / "elsewhere" / "page.html"))
    whole = (folder / "report.html").read_text()
    assert whole.lstrip().startswith("<!doctype html>")
    assert whole.rstrip().endswith("</html>")
    assert (tmp_path / "elsewhere" / "page.html").read_text() == whole


def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "federation.toml: no such file" in fail(capsys, tmp_path)


def test_a_run_without_results_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results.csv").unlink()
    assert "no results.csv here; name the folder of a run of which at least one seed is done" in fail(capsys, folder)


def test_what_is_damaged_is_named_and_the_old_report_stays(
    folder: Path, change: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report.html").write_text("old")
    change("curves.csv", lambda table: table.assign(positive=table["positive"].where(table.index != 5, 10_000)))
    assert "curves.csv, line 7: expected" in fail(capsys, folder)
    change("curves.csv", lambda table: table.drop(columns="bin_high"))
    assert "column bin_high is missing" in fail(capsys, folder)
    (folder / "curves.csv").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as CSV" in fail(capsys, folder)
    (folder / "curves.csv").unlink()
    (folder / "results.json").write_text("{")
    assert "results.json: not JSON" in fail(capsys, folder)
    assert (folder / "report.html").read_text() == "old"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_command_does_without_torch(folder: Path) -> None:
    code = "import sys; from common.cli import main\ntry: main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "report", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stdout.splitlines()[-1] == "False"
