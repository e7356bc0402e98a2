"""Every figure on the page is worked out again from the run's files, by what its element says of it."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from common.config import Federation
from server.report.folder import RunFolder
from server.report.live import live_page
from server.report.page import page
from server.report.study.folder import StudyFolder
from server.report.study.page import page as study_page
from server.simulate import run

VOID = {"meta", "link", "br", "path", "rect", "img"}
INHERITED = ("data-file", "data-row", "data-of")


@dataclass
class Element:
    tag: str
    said: dict[str, str]
    text: str = ""
    figures: int = 0


@dataclass
class Figure:
    file: str
    row: str
    column: str
    of: str
    places: int
    shown: str
    place: float | None = None  # of a mark, from the left


@dataclass
class Reader(HTMLParser):
    """Collects figures, and cells of tables that have a digit without being one."""

    figures: list[Figure] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        if "transform" in element.said and (place := re.match(r"translate\(([\d.-]+),", element.said["transform"])):
            marked = [figure for figure in self.figures[-1:] if any("data-shown" in e.said for e in self.open)]
            for figure in marked:
                figure.place = float(place[1])
        if "data-shown" in element.said:
            self.found(element, element.said["data-shown"])
        if tag not in VOID:
            self.open.append(element)

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        element = self.open.pop()
        assert element.tag == tag, "elements are not closed in order"
        if "data-column" in element.said and "data-shown" not in element.said:
            self.found(element, element.text)
        if tag == "td" and "word" not in element.said.get("class", "") and not element.figures:
            self.loose += [element.text] if re.search(r"\d", element.text) else []

    def found(self, element: Element, shown: str) -> None:
        said = {
            name: next((e.said[name] for e in [element, *self.open[::-1]] if name in e.said), "") for name in INHERITED
        }
        column, places = element.said["data-column"], int(element.said.get("data-places", 3))
        self.figures.append(Figure(said["data-file"], said["data-row"], column, said["data-of"], places, shown))
        for around in self.open:
            around.figures += 1


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def chosen(table: pd.DataFrame, row: str) -> pd.DataFrame:
    """Give the rows that an attribute names."""
    for part in row.split(";"):
        name, sign, value = re.fullmatch(r"(\w+)([=~<>])(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        value = unquote(value)
        if name == "lines":
            first, last = value.split("-")
            table = table.iloc[int(first) : int(last) + 1]
        elif sign in "<>":
            numbers = table[name].astype(float)
            table = table[numbers < float(value) if sign == "<" else numbers > float(value)]
        elif sign == "~":
            table = table[[value in cell.split() for cell in table[name]]]
        else:
            table = table[table[name] == value]
    return table


def again(figure: Figure, rows: pd.DataFrame) -> str:
    """Work a figure out from rows of the file, and write it as the page should."""
    values = rows[figure.column].tolist()
    if figure.of in ("count", "unique"):
        value = float(len(values if figure.of == "count" else set(values)))
    else:
        ways: dict[str, Callable[[list[float]], float]] = {
            "mean": statistics.fmean, "sd": statistics.stdev, "sum": sum, "min": min, "max": max
        }  # fmt: skip
        known = values if figure.of == "mean" else [value for value in values if value]
        value = ways[figure.of]([float(value) for value in known])  # a mean of which a seed is absent is an error
    text = f"{value:,.{figure.places}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def check(folder: Path, text: str = "") -> Reader:
    reader = read(text or page(RunFolder(folder)))
    tables = {path.name: pd.read_csv(path, dtype=str, keep_default_na=False) for path in folder.glob("*.csv")}
    for path in folder.glob("events.jsonl"):
        tables[path.name] = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    known: dict[tuple[str, str], pd.DataFrame] = {}
    for figure in reader.figures:
        key = figure.file, figure.row
        known[key] = known[key] if key in known else chosen(tables[figure.file], figure.row)
        assert figure.shown == again(figure, known[key]), figure
    assert not reader.loose
    return reader


def test_every_figure_is_that_of_the_files(folder: Path) -> None:
    reader = check(folder)
    assert {figure.file for figure in reader.figures} == {"results.csv", "rounds.csv", "exchange.csv", "curves.csv"}
    assert {figure.of for figure in reader.figures} == {"mean", "sd", "sum", "min", "max", "count", "unique"}


def test_every_test_figure_is_on_the_page(folder: Path) -> None:
    reader = read(page(RunFolder(folder)))
    results = pd.read_csv(folder / "results.csv").fillna({"sources": ""})
    seen = {(figure.row, figure.column) for figure in reader.figures}
    for row in results.to_dict(orient="records"):
        key = ";".join(f"{name}={row[name]}" for name in ("embedding", "seed", "strategy", "sources", "site", "split"))
        for column in ("n", "auroc", "auprc", "brier", "calibration_slope", "sensitivity"):
            assert ((key, column) in seen) == pd.notna(row[column])


def test_marks_lie_where_their_figures_say(folder: Path) -> None:
    reader = read(page(RunFolder(folder)))
    marks = [m for m in reader.figures if m.place is not None and m.column == "auroc"]
    assert len({mark.shown for mark in marks}) > 5
    values, places = [float(mark.shown) for mark in marks], [float(mark.place or 0) for mark in marks]
    slope, start = statistics.linear_regression(values, places)
    assert slope > 0
    assert all(abs(start + slope * value - place) < 1 for value, place in zip(values, places, strict=True))


def test_sizes_and_scores_by_round_are_traced(folder: Path, change: Callable[..., None]) -> None:
    change("rounds.csv", lambda table: table.assign(validation_auroc=0.7, validation_n=100))
    before = len(check(folder).figures)
    (folder / "sizes.csv").write_text("site,of,encounters\nsalt-lake,salt-lake,3000\nallegheny,salt-lake,500\n")
    assert len(check(folder).figures) == before + 4  # "local" alone is there at both sizes, in two embeddings


def test_a_live_page_is_from_the_events(folder: Path) -> None:
    more: list[dict[str, object]] = [{"kind": "step", "text": f"round {number}"} for number in (1, 2)]
    scored = {"embedding": "minilm", "seed": 7, "strategy": "local", "sources": "", "site": "allegheny"}
    more.append({"kind": "score", **scored, "auroc": 0.71234})
    begin, *rest = (folder / "events.jsonl").read_text().splitlines()
    lines = ['{"kind": "score", "auroc": 0.9}', begin, rest[0], *map(json.dumps, more)]  # first, of an earlier start
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    reader = check(folder, live_page(RunFolder(folder), 5))
    found = [(figure.of, figure.shown) for figure in reader.figures if figure.file == "events.jsonl"]
    assert found == [("count", "2"), ("mean", "0.712")]


def test_every_figure_of_several_classes_is_that_of_the_files(several: Path) -> None:
    reader = check(several)
    files = {"results.csv", "rounds.csv", "exchange.csv", "classes.csv", "class-curves.csv"}
    assert {figure.file for figure in reader.figures} == files
    seen = {(unquote(figure.row), figure.column) for figure in reader.figures if figure.file == "classes.csv"}
    keys = ["embedding", "strategy", "sources", "site"]
    test = pd.read_csv(several / "classes.csv", dtype=str, keep_default_na=False).query("split == 'test'")
    for row in test.to_dict(orient="records"):
        key = ";".join([*(f"{name}={row[name]}" for name in keys), f"class={row['class']}", "split=test"])
        for column in ("positive", "auroc", "auroc_low", "auprc", "brier", "calibration_intercept"):
            assert ((key, column) in seen) == bool(row[column])
    ranges = {unquote(figure.row) for figure in reader.figures if figure.file == "class-curves.csv"}
    assert {row.rsplit(";", 1)[1] for row in ranges} == {"class=12", "class=229", "class=007"}


def test_every_figure_of_a_study_is_that_of_its_files(study: Path) -> None:
    reader = check(study, study_page(StudyFolder(study)))
    assert {figure.file for figure in reader.figures} == {"summary.csv", "comparisons.csv"}
    summary = pd.read_csv(study / "summary.csv")
    for column in ("auroc", "low", "high", "sd_patients", "sd_seeds"):
        seen = {figure.row for figure in reader.figures if figure.column == column and figure.file == "summary.csv"}
        assert {f"lines={line}-{line}" for line in range(len(summary))} <= seen
    pairs = {figure.row for figure in reader.figures if figure.column == "p_adjusted"}
    assert len(pairs) == len(pd.read_csv(study / "comparisons.csv"))


def test_every_figure_of_a_study_of_several_classes_is_that_of_its_files(several_studied: Path) -> None:
    reader = check(several_studied, study_page(StudyFolder(several_studied)))
    classes = pd.read_csv(several_studied / "classes.csv")
    seen = {figure.row for figure in reader.figures if figure.file == "classes.csv" and figure.column == "auroc"}
    assert seen == {f"lines={line}-{line}" for line in classes.index[classes["auroc"].notna()]}


def test_a_run_of_the_simulator(federation: Callable[..., object], write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(seeds=[7, 8], strategies=["local", "direct", "recalibrate", "full", "pooled"])
    whole = federation(seeds=[7, 8], strategies=["local", "direct", "recalibrate", "full", "pooled"])
    run(whole, path, tmp_path / "simulated")  # type: ignore[arg-type]
    reader = check(tmp_path / "simulated")
    assert {figure.file for figure in reader.figures} == {"results.csv", "rounds.csv", "exchange.csv", "curves.csv"}
    text = page(RunFolder(tmp_path / "simulated"))
    assert text.count("as noted</td>") == len(list((tmp_path / "simulated" / "weights").iterdir()))
    assert "see the table" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_a_run_of_several_classes_or_labels(
    hospitals: Path, federation: Callable[..., Federation], tmp_path: Path, kind: str
) -> None:
    label = '[cohort.label]\ncolumn = "influenza"\nclasses = { flu = ["1"], rsv = ["2"], none = ["0"] }\n'
    if kind == "labels":
        columns = (("flu", "influenza"), ("third", "third"))
        label = "".join(f'[cohort.labels.{n}]\ncolumn = "{column}"\npositive = ["1"]\n' for n, column in columns)
    for name in ("allegheny", "salt-lake"):
        text = (hospitals / f"{name}.toml").read_text()
        start = text.index("[cohort.label]")
        (tmp_path / f"{name}.toml").write_text(text[:start] + label + text[text.index("\n[", start) :])
        cells = pd.read_csv(hospitals / f"{name}.csv", dtype=str, keep_default_na=False)
        third = (cells["influenza"] == "0") & (cells.index % 3 == 0)
        if kind == "classes":
            cells["influenza"] = cells["influenza"].mask(third, "2")
        else:
            cells["third"] = third.astype(int)
        cells.to_csv(tmp_path / f"{name}.csv", index=False)
    sites = {name: {"file": str(tmp_path / f"{name}.toml")} for name in ("allegheny", "salt-lake")}
    names = ["flu", "rsv", "none"] if kind == "classes" else ["flu", "third"]
    asked = {"sites": sites, "model": {kind: names}, "strategies": ["local", "direct"]}
    ways = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    run(federation(seeds=[7, 8], directions=ways, **asked), tmp_path / "federation.toml", tmp_path / "run")
    reader = check(tmp_path / "run")
    assert {figure.file for figure in reader.figures} >= {"classes.csv", "class-curves.csv"}
    assert page(RunFolder(tmp_path / "run")).count(f"mean over {kind}") > 5
