"""The report of several classes or labels: what is a mean says so, and each stands by itself."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from common.figures import METRICS
from server.report import classes
from server.report.about import choices
from server.report.curves import blocks
from server.report.folder import RunFolder
from server.report.live import scores
from server.report.page import page
from server.summary import summarise

NAMES = ("12", "229", "007")
COLUMNS = {"of it": "positive", "AUROC": "auroc", "AUPRC": "auprc", "Brier": "brier", "sd, seeds": "auroc"}
COLUMNS |= {"cal. int.": "calibration_intercept", "cal. slope": "calibration_slope"}


def plain(text: str) -> str:
    return " ".join(re.sub("<.*?>", " ", text).split())


def sections(folder: Path) -> dict[str, str]:
    return {part.split('"', 1)[0]: part for part in page(RunFolder(folder)).split('<section id="')[1:]}


def each_of(folder: Path) -> pd.DataFrame:
    run = RunFolder(folder)
    return classes.of_classes(run.classes, summarise(run.results))


def test_every_section_with_a_mean_says_so(several: Path) -> None:
    (several / "sizes.csv").write_text("site,of,encounters\nsalt-lake,salt-lake,3000\nallegheny,salt-lake,500\n")
    rounds = pd.read_csv(several / "rounds.csv").assign(validation_auroc=0.7, validation_n=100)
    rounds.to_csv(several / "rounds.csv", index=False)
    found = sections(several)
    figure = re.compile(f'data-column="({"|".join(METRICS)})(_low|_high)?"')
    with_means = {name for name, text in found.items() if "results.csv" in text and figure.search(text)}
    assert with_means == {"performance", "matrix", "calibration", "sizes", "rounds", "card"}
    for name in with_means:
        head, *tables = found[name].split("<table")
        assert "mean over classes" in plain(head)
        for table in tables:
            caption = plain(table.split("</thead>")[0])
            told = figure.search(table) is None or "classes" in caption or name in ("matrix", "rounds")
            assert told, (name, caption)


def test_two_classes_are_no_means(folder: Path) -> None:
    text = page(RunFolder(folder))
    for words in ("mean over classes", "against the rest", "classes.csv", "class-curves"):
        assert words not in text


def test_what_only_two_classes_have_is_not_asked_for(several: Path) -> None:
    text = plain(page(RunFolder(several)))
    for words in ("sens.", "spec.", "ensitivity", "Threshold", "threshold of the sources", "not told"):
        assert words not in text
    assert "the classes 12, 229, 007" in text


def test_each_row_has_its_own_figures(several: Path) -> None:
    table = classes.table(each_of(several), "class")
    assert [row.cells[4] for row in table.rows[:3]] == list(NAMES)
    assert len(table.rows) == 2 * 6 * 3
    for row in table.rows:
        (where,) = re.findall('data-row="(.*?)"', row.trace)
        key = {name: unquote(value) for name, value in (part.split("=", 1) for part in where.split(";"))}
        words = [key[name] for name in ("embedding", "site", "strategy", "sources", "class")]
        assert words == [cell.replace(", ", "+") for cell in row.cells[:5]]
        before = ""
        for heading, cell in list(zip(table.headings, row.cells, strict=True))[5:]:
            column = COLUMNS.get(heading, heading)
            expected = [f"{before}_low", f"{before}_high"] if heading == "95 % interval" else [column]
            assert re.findall('data-column="(.*?)"', cell) in ([], expected)
            before = column


def test_a_count_that_is_kept_back_and_a_class_of_few(several: Path) -> None:
    rows = classes.table(each_of(several), "class").rows
    of_it = {tuple(row.cells[i] for i in (1, 2, 4)): plain(row.cells[5]) for row in rows}
    assert of_it["salt-lake", "linear", "229"] == "withheld"
    assert of_it["salt-lake", "local", "007"] == "too few"
    assert of_it["salt-lake", "local", "12"] == "288"
    (one,) = [row for row in classes.untold(RunFolder(several).classes, "class").rows if row.cells[1] == "test"]
    assert one.cells[:3] == ["salt-lake", "test", "007"]
    assert plain(one.cells[4]) == "4 of 16"
    assert "Nothing was suppressed" not in page(RunFolder(several))


def test_a_mean_without_a_class_is_no_choice(several: Path) -> None:
    results = RunFolder(several).results
    assert results["note"].str.startswith("means are without 007").sum() == 8
    assert choices(results).rows == []


def test_counts_of_each_class(several: Path) -> None:
    table = classes.counts(RunFolder(several).classes, "class")
    assert [row.cells[:2] for row in table.rows] == [
        [site, name] for name in NAMES for site in ("allegheny", "salt-lake")
    ]
    assert all(plain(cell) == "288" for row in table.rows for cell in row.cells[2:])


def test_curves_of_each_class_in_order_and_drawn_alike(several: Path) -> None:
    drawn = blocks(RunFolder(several).class_curves, NAMES)
    keys = [(block.embedding, block.site, block.of) for block in drawn]
    assert keys == [
        (embedding, site, name)
        for embedding in ("minilm", "one-hot")
        for site in ("salt-lake", "allegheny")
        for name in NAMES
    ]
    whole, without = drawn[1], drawn[2]  # of the last class, salt-lake told nothing of its local model
    assert [name for name, _, _ in whole.calibration] == ["local", "direct", "linear", "full"]
    assert [name for name, _, _ in without.calibration] == ["direct", "linear", "full"]
    items = [re.findall("<li>.*?</li>", block.legend) for block in (whole, without)]
    assert items[0][1:] == items[1]


def test_the_figures_of_a_class_are_drawn_by_themselves(several: Path) -> None:
    """A panel for each class and site; in it a mark for each model that was told of."""
    _, panels = classes.pictures(each_of(several))
    assert [title for title, _ in panels] == [
        f"{site}: {name}" for site in ("allegheny", "salt-lake") for name in NAMES
    ]
    marks = {title: svg.count("data-shown") for title, svg in panels}
    assert marks["salt-lake: 12"] == 8
    assert marks["salt-lake: 007"] == 6


def test_without_the_files_of_classes_the_means_remain(several: Path) -> None:
    for name in ("classes.csv", "class-curves.csv"):
        (several / name).unlink()
    found = sections(several)
    assert "each" not in found
    assert "No site sent counts" in plain(found["curves"])
    assert "mean over classes" in plain(found["performance"])


def test_a_damaged_file_of_curves_is_named(several: Path) -> None:
    path = several / "class-curves.csv"
    path.write_text(path.read_text().replace(",0.0,", ",1.0,", 1))
    with pytest.raises(Exception, match=r"class-curves.csv, line 2: expected bin_low below bin_high"):
        page(RunFolder(several))


def test_the_live_page_says_so_too(several: Path) -> None:
    assert RunFolder(several).over == "classes"
    assert scores([], "classes").headings[-1] == "test AUROC, mean over classes"
    assert scores([]).headings[-1] == "test AUROC"
