"""What stands beside a figure is what the figure is of: its row's words, and its column's heading."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from server.report import performance
from server.report.about import choices, sites, suppressed
from server.report.contributions import attendance
from server.report.crossing import bytes_table
from server.report.folder import RunFolder
from server.report.trace import Table
from server.summary import summarise

COLUMNS = {
    "AUROC": "auroc",
    "AUPRC": "auprc",
    "Brier": "brier",
    "cal. slope": "calibration_slope",
    "sens.": "sensitivity",
}
COLUMNS |= {"spec.": "specificity", "cal. int.": "calibration_intercept", "intercept": "calibration_intercept"}
COLUMNS |= {"slope": "calibration_slope", "sd, seeds": "auroc", "learnt at": "sources"}


def where_of(element: str) -> dict[str, str]:
    """Give the columns and values that an element's data-row names."""
    (row,) = re.findall('data-row="(.*?)"', element)
    return {name: unquote(value) for name, value in (part.split("=", 1) for part in row.split(";"))}


def columns_of(cell: str) -> list[str]:
    return re.findall('data-column="(.*?)"', cell)


def summary_of(run: RunFolder) -> pd.DataFrame:
    return performance.extended(run.results, summarise(run.results))


def check(table: Table, words: Sequence[str]) -> int:
    """Check every row; give how many figures there were."""
    figures = 0
    for row in table.rows:
        key = where_of(row.trace)
        for heading, cell in zip(table.headings[: len(words)], row.cells, strict=False):
            assert key[COLUMNS.get(heading, heading)] == cell.replace(", ", "+")
        before = ""
        for heading, cell in list(zip(table.headings, row.cells, strict=True))[len(words) :]:
            column = COLUMNS.get(heading, heading)
            expected = [f"{before}_low", f"{before}_high"] if heading == "95 % interval" else [column]
            assert columns_of(cell) in ([], expected)
            assert ('data-of="sd"' in cell) == (heading == "sd, seeds")
            before, figures = column, figures + len(columns_of(cell))
    return figures


def test_the_tables_of_figures(folder: Path) -> None:
    run = RunFolder(folder)
    summary = summary_of(run)
    four = ["embedding", "site", "strategy", "learnt at"]
    models = len(summary)
    assert check(performance.table(summary), four) == models * 11 - 1  # of one seed a sensitivity is withheld
    assert check(performance.calibration_table(summary), four) == models * 14 - 3
    keys = ["embedding", "seed", "strategy", "learnt at", "site", "split"]
    assert check(performance.by_seed(run.results), keys) > len(run.results) * 8


def test_a_cell_of_the_matrix_is_of_its_row_and_column(folder: Path) -> None:
    tables = performance.matrices(summary_of(RunFolder(folder)))
    assert [table.caption for table in tables] == ["minilm", "one-hot"]
    for table in tables:
        assert [row.cells[:2] for row in table.rows if row.cells[0] in ("local", "source", "full")] == [
            ["local", "the site itself"],
            ["source", "allegheny (at home)"],
            ["full", "allegheny"],
        ]
        found = 0
        for row in table.rows:
            for site, cell in zip(table.headings[2:], row.cells[2:], strict=True):
                if columns_of(cell):
                    key = where_of(cell)
                    assert (key["site"], key["strategy"], key["embedding"]) == (site, row.cells[0], table.caption)
                    assert key["sources"] == ("" if key["strategy"] == "local" else "allegheny")
                    found += 1
        assert found == 6


def test_the_darkest_cell_is_the_highest(folder: Path) -> None:
    summary = summary_of(RunFolder(folder))
    cells = [cell for table in performance.matrices(summary) for row in table.rows for cell in row.cells[2:]]
    shares = {float(share) for cell in cells for share in re.findall(r"--share:([\d.]+)", cell)}
    assert (min(shares), max(shares)) == (0, 1)
    (highest,) = [cell for cell in cells if "--share:1.00" in cell]
    assert re.sub("<.*?>", "", highest) == f"{summary['auroc'].max():.3f}"


def test_bytes_and_messages_are_of_their_way(folder: Path) -> None:
    table = bytes_table(RunFolder(folder).exchange)
    assert len(table.rows) == 6
    for row in table.rows:
        ways = [where_of(cell) for cell in row.cells[2:]]
        assert [way["direction"] for way in ways] == ["out"] * 3 + ["back"] * 3
        assert {(way["embedding"], way["phase"]) for way in ways} == {(row.cells[0], row.cells[1])}
        assert [columns_of(cell) for cell in row.cells[2:]] == [["bytes"], ["numbers"], ["bytes"]] * 2
        assert ["count" in cell for cell in row.cells[2:]] == [True, False, False] * 2


def test_sites_and_their_counts(folder: Path) -> None:
    table = sites(RunFolder(folder))
    assert [row.cells[:2] for row in table.rows] == [["allegheny", "source"], ["salt-lake", "target"]]
    for row in table.rows:
        told = [where_of(cell) for cell in row.cells[2:]]
        assert {each["site"] for each in told} == {row.cells[0]}
        assert [each.get("split") for each in told] == [None, "validation", "validation", "test", "test"]
        assert [columns_of(cell)[0] for cell in row.cells[2:]] == ["encounters", *["n", "positive"] * 2]


def test_attendance_is_of_its_site_and_phase(folder: Path) -> None:
    table = attendance(RunFolder(folder).rounds)
    for row in table.rows:
        for heading, cell in zip(table.headings[1:], row.cells[1:], strict=True):
            if columns_of(cell):
                key = where_of(cell.split("</span>")[1])
                assert key["site"] == row.cells[0]
                assert heading.startswith(key["phase"])
                assert key["round"] in heading or key["round"] == "0"


def test_suppressed_rows_name_the_seeds(folder: Path) -> None:
    table = suppressed(RunFolder(folder).results)
    assert [(row.cells[0], row.cells[1], row.cells[2]) for row in table.rows] == [
        ("salt-lake", "validation", "one-hot"), ("salt-lake", "validation", "minilm")
    ]  # fmt: skip
    assert re.sub("<.*?>", "", table.rows[0].cells[-1]) == "2"


@pytest.mark.parametrize(("kept", "expected"), [("auroc", "withheld"), ("", "\N{EN DASH}")])
def test_what_is_not_told_says_whether_it_is_kept_back(folder: Path, kept: str, expected: str) -> None:
    run = RunFolder(folder)
    results = run.results.assign(auroc=float("nan"), withheld=kept)
    summary = performance.extended(results, summarise(results))
    assert {row.cells[6] for row in performance.table(summary).rows} == {expected}


def test_what_a_target_chose_is_said_and_is_not_suppressed(folder: Path) -> None:
    results = RunFolder(folder).results
    full = (results["strategy"] == "full") & (results["embedding"] == "minilm")
    results.loc[full, "note"] = "chose linear, the lightest: linear best"
    table = choices(results)
    assert [row.cells[3:] for row in table.rows] == [
        ["allegheny", str(seed), "chose linear, the lightest: linear best"] for seed in (7, 8)
    ]
    assert not any("chose" in cell for row in suppressed(results).rows for cell in row.cells)


def test_what_is_suppressed_of_every_model_is_said_once(folder: Path) -> None:
    results = RunFolder(folder).results
    here = (results["site"] == "salt-lake") & (results["split"] == "validation")
    results.loc[here, "n"], results.loc[here, "note"] = float("nan"), "too few"
    (row,) = suppressed(results).rows
    assert row.cells[:-1] == ["salt-lake", "validation", "every", "every", "", "too few"]
    assert re.sub("<.*?>", "", row.cells[-1]) == "2"
