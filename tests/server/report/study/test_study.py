"""The report of a study: what is drawn and said of which cell, and what is refused."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest

from common.cli import main
from server.report.study import comparisons, curves, tables
from server.report.study.folder import StudyFolder, in_order
from server.report.study.page import page


def plain(text: str) -> str:
    return re.sub("<.*?>", "", text)


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["report", *arguments])
    said = capsys.readouterr()
    assert (exit_.value.code, said.out, said.err.count("\n")) == (1, "", 1)
    return said.err


def test_the_page_is_whole_and_tells_no_path(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(study)])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"{study / 'report.html'}\n"
    text = (study / "report.html").read_text()
    assert text.rstrip().endswith("</html>")
    assert "secret" not in text
    assert "model.filters" in text
    assert "allegheny to salt-lake" in text


def test_what_is_missing_or_damaged_is_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--watch follows a run" in fail(capsys, str(study), "--watch")
    table = pd.read_csv(study / "summary.csv")
    table.drop(columns="low").to_csv(study / "summary.csv", index=False)
    assert "column low is missing" in fail(capsys, str(study))
    table[:0].to_csv(study / "summary.csv", index=False)
    assert "no row; run the study again" in fail(capsys, str(study))
    (study / "summary.csv").unlink()
    assert "no summary.csv here; let the study end" in fail(capsys, str(study))
    (study / "study.json").write_text("{")
    assert "study.json: not JSON" in fail(capsys, str(study))


def test_sizes_stand_from_small_to_large() -> None:
    assert in_order(pd.Series(["1000", "all", "30", "200", "all"])) == ["30", "200", "1000", "all"]


def test_a_learning_curve_has_every_strategy_at_every_size(study: Path) -> None:
    folder = StudyFolder(study)
    drawn = curves.learning(folder)
    assert [each.preset for each in drawn] == ["default", "paper"]
    for each in drawn:
        assert [title for title, _ in each.panels] == [f"{e}, allegheny to salt-lake" for e in ("minilm", "one-hot")]
        places, values = [], []
        for _, svg in each.panels:
            marks = re.findall(r'data-shown="([\d.]+)".*?translate\(([\d.]+),([\d.]+)\)', svg)
            assert len(marks) == 9  # three strategies, three sizes
            columns = sorted(float(x) for _, x, _ in marks)
            assert (columns[7] - columns[4]) / (columns[4] - columns[1]) == pytest.approx(
                0.45, abs=0.01
            )  # 1,000 to all
            values += [float(shown) for shown, _, _ in marks]
            places += [float(y) for _, _, y in marks]
        slope, start = statistics.linear_regression(values, places)
        assert slope < 0  # up is better, and on one scale
        assert all(abs(start + slope * value - place) < 1 for value, place in zip(values, places, strict=True))
    assert curves.targets(folder) == []


def test_a_study_of_one_size_shows_targets(study: Path) -> None:
    table = pd.read_csv(study / "summary.csv")
    table[table["size"] == "all"].to_csv(study / "summary.csv", index=False)
    folder = StudyFolder(study)
    assert curves.learning(folder) == []
    drawn = curves.targets(folder)
    assert [[title for title, _ in each.panels] for each in drawn] == [["salt-lake"]] * 2
    assert len(re.findall("data-shown", drawn[0].panels[0][1])) == 6
    assert 'href="#learning"' not in page(folder)


def test_a_cell_of_the_grid_is_of_its_row_and_column(study: Path) -> None:
    folder = StudyFolder(study)
    for preset, table in zip(("default", "paper"), tables.grids(folder), strict=True):
        assert len(table.rows) == 9
        for row in table.rows:
            source, size, strategy = row.cells[:3]
            for embedding, cell in zip(table.headings[3:], row.cells[3:], strict=True):
                (line,) = re.findall(r"lines=(\d+)-", cell)
                record = folder.summary.iloc[int(line)]
                assert (record["preset"], record["embedding"], record["strategy"]) == (preset, embedding, strategy)
                assert (tables.origin(record["source"]), record["size"]) == (source, size.replace(",", ""))
                assert plain(cell) == f"{record['auroc']:.3f} {record['low']:.3f}\N{EN DASH}{record['high']:.3f}"


def compared(study: Path, *pairs: tuple[str, str, float, float]) -> StudyFolder:
    table = pd.read_csv(study / "comparisons.csv")[: len(pairs)]
    for column, values in zip(("first", "second", "difference", "p_adjusted"), zip(*pairs, strict=True), strict=True):
        table[column] = list(values)
    table.to_csv(study / "comparisons.csv", index=False)
    return StudyFolder(study)


def test_wins_go_to_the_better_after_correction(study: Path) -> None:
    pairs = [("direct", "full", -0.1, 0.01), ("direct", "full", -0.1, 0.2), ("direct", "full", 0.1, 0.049)]
    pairs.append(("direct", "full", -0.2, 0.001))
    folder = compared(study, *pairs, ("direct", "local", 0.2, 0.05))
    (table,) = comparisons.wins(folder)
    assert {row.cells[0]: [plain(cell) for cell in row.cells[1:]] for row in table.rows} == {
        "direct": ["·", "1 of 4", "0 of 1"],
        "full": ["2 of 4", "·", "·"],
        "local": ["0 of 1", "·", "·"],
    }
    said = [row.cells[-1] for table in comparisons.differences(folder) for row in table.rows]
    assert said == ["full is better", "not told apart", "direct is better", "full is better", "not told apart"]


def test_a_small_p_is_not_said_to_be_zero(study: Path) -> None:
    folder = compared(study, ("direct", "full", -0.1, 1e-9))
    (table,) = comparisons.differences(folder)
    assert plain(table.rows[0].cells[-2]) == "&lt; 0.001"


def test_too_many_comparisons_are_cut_and_it_is_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "MOST", 2)
    folder = compared(study, ("linear", "full", 0.1, 0.01), ("direct", "full", 0.1, 0.01), ("full", "local", 0.1, 0.01))
    assert len(comparisons.shown_rows(folder.comparisons)) == 2
    assert "the others are in <code>comparisons.csv</code>" in page(folder)


def test_one_strategy_has_nothing_to_compare_with(study: Path) -> None:
    (study / "comparisons.csv").write_text("\n")
    assert "no two strategies to compare" in page(StudyFolder(study))


def test_names_are_text(study: Path) -> None:
    content = json.loads((study / "study.json").read_text()) | {"name": "<script>alert(1)</script>"}
    (study / "study.json").write_text(json.dumps(content))
    assert "<script" not in page(StudyFolder(study))


def test_a_study_of_several_classes_says_so(several_studied: Path) -> None:
    text = page(StudyFolder(several_studied))
    assert "<dt>predicted</dt><dd>the classes flu, rsv, none</dd>" in text
    assert "AUROC at salt-lake, preset paper, mean over classes" in text
    assert "Every cell, mean over classes and seeds" in text
    assert text.count("AUROC, mean over classes</text>") == 4  # two presets, two embeddings
    for absent in (">positive</th>", ">sens.</th>", "sensitivity"):
        assert absent not in text


def test_each_class_has_a_column(several_studied: Path) -> None:
    folder = StudyFolder(several_studied)
    found = tables.each_class(folder)
    assert [table.caption for table in found] == [
        f"AUROC at salt-lake, {embedding}, preset {preset}"
        for preset in ("default", "paper")
        for embedding in ("minilm", "one-hot")
    ]
    for table in found:
        assert table.headings == ["learnt at", "size", "strategy", "flu", "rsv", "none"]
        for row in table.rows:
            source, size, strategy, *cells = row.cells
            assert cells[1] == "\N{EN DASH}"
            for name, cell in zip(("flu", "none"), cells[::2], strict=True):
                (line,) = re.findall(r'data-file="classes.csv" data-row="lines=(\d+)-', cell)
                record = folder.classes.iloc[int(line)]
                assert f", {record['embedding']}, preset {record['preset']}" in table.caption
                assert (record["class"], record["strategy"]) == (name, strategy)
                assert (tables.origin(record["source"]), record["size"]) == (source, size.replace(",", ""))
                assert plain(cell).startswith(f"{record['auroc']:.3f} ")


def test_a_study_of_two_classes_has_no_table_of_classes(study: Path) -> None:
    text = page(StudyFolder(study))
    assert tables.each_class(StudyFolder(study)) == []
    for absent in ("mean over classes", "mean over labels", "classes.csv", "against the rest"):
        assert absent not in text


def test_a_study_without_its_classes_is_one_line(several_studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (several_studied / "classes.csv").unlink()
    assert "no classes.csv here; let the study end" in fail(capsys, str(several_studied))
    content = json.loads((several_studied / "study.json").read_text()) | {"overrides": {"model": {"classes": ["one"]}}}
    (several_studied / "study.json").write_text(json.dumps(content))
    assert "study.json, overrides.model: classes: names 1; expected from 2 to 100" in fail(capsys, str(several_studied))
