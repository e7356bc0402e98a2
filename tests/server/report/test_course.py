from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from server.report.contributions import attendance, missing
from server.report.course import round_plots, training_table, trainings
from server.report.folder import RunFolder


def lines(*told: tuple[int, str], phase: str = "source", seed: int = 7, **more: Any) -> list[dict[str, Any]]:
    about = {"embedding": "minilm", "seed": seed, "phase": phase, "contributed": "yes", "encounters": 10, "why_not": ""}
    return [{**about, "round": number, "site": site, **more} for number, site in told]


def test_trainings_are_told_apart_by_their_first_rounds() -> None:
    first = lines((1, "a"), (2, "a"), (0, "a"))
    second = lines((1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "a"), (3, "b"), (0, "a"), (0, "b"))
    found = trainings(pd.DataFrame([*first, *lines((0, "b"), phase="full"), *second]))
    assert [(each.sources, each.rounds, each.first, each.last) for each in found] == [
        (("a",), 2, 0, 1), (("a", "b"), 3, 4, 9)
    ]  # fmt: skip


def test_scores_by_round_are_weighted_and_drawn_where_there_are_any() -> None:
    scored = [
        *lines((1, "a"), (1, "b")),
        *lines((2, "a"), validation_auroc=0.6, validation_n=300),
        *lines((2, "b"), validation_auroc=0.8, validation_n=100),
        *lines((3, "a"), (3, "b"), validation_auroc=None, validation_n=None),
    ]
    found = trainings(pd.DataFrame(scored))
    assert found[0].scores == pytest.approx([0.65, float("nan")], nan_ok=True)
    legend, panels = round_plots(found)
    assert "seed 7" in legend
    assert [title for title, _ in panels] == ["minilm, a, b"]
    assert round_plots(trainings(pd.DataFrame(lines((1, "a"), (2, "a"))))) == ("", [])


def text(cells: Any) -> list[str]:
    return [re.sub("<.*?>", "", str(cell)) for cell in cells]


def test_rounds_that_are_alike_stand_together_and_who_was_away_stands_out() -> None:
    told = lines(*((number, site) for number in (1, 2, 3, 4) for site in ("a", "b")))
    told[4] |= {"contributed": "no", "encounters": None, "why_not": "late"}  # a in round 3
    table = attendance(pd.DataFrame([*told, *lines((0, "b"), phase="full")]))
    dash = "\N{EN DASH}"
    assert table.headings == ["site", f"source, round 1{dash}2", "source, round 3", "source, round 4", "full"]
    assert text(table.rows[0].cells) == ["a", "1 of 1", "0 of 1 !", "1 of 1", "\N{MIDDLE DOT}"]
    assert text(table.rows[1].cells) == ["b", "1 of 1", "1 of 1", "1 of 1", "1 of 1"]
    assert [row.cells for row in missing(pd.DataFrame(told)).rows] == [["minilm", "7", "source", "3", "a", "late"]]


def test_a_training_shows_its_rounds_and_its_validation_score(folder: Path) -> None:
    run = RunFolder(folder)
    table = training_table(trainings(run.rounds), run.results)
    assert [text(row.cells)[3:] for row in table.rows] == [["3", "2"]] * 2
    rows = run.results.query("embedding == 'minilm' and strategy == 'source' and split == 'validation'")
    assert text(table.rows[1].cells)[2] == f"{rows['auroc'].mean():.3f}"
