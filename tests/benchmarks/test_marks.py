from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.marks import STAGES, Round, Site, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Two rounds after the first, at one site: a message every ten seconds that takes six."""
    site = Site(1, tmp_path / "node.log", tmp_path / "work.jsonl")
    for begun in (0.0, 10.0, 20.0, 30.0):
        marks = ("received", "started", "in", "out", "sending", "sent")
        for mark, after in zip(marks, (0, -0.1, 2, 5, 5.5, 6), strict=True):
            site.marks[mark].append(begun + after)
    made = Watch({"a": site}, lambda: 0.0)
    made.rounds = [Round(7.0, 5.0), Round(17.0, 8.0), Round(27.0, 11.0)]
    return made


def test_each_stage_of_the_counted_messages(watch: Watch) -> None:
    (stages,) = watch.stages()
    assert list(stages.values()) == pytest.approx([-0.1, 2.1, 3.0, 0.5, 0.5, 4.0])
    assert sum(stages.values()) == pytest.approx(10.0)
    assert set(stages) == set(STAGES)


def test_the_first_round_counts_neither_as_time_nor_as_work(watch: Watch) -> None:
    assert watch.walls() == [10.0, 10.0]
    assert watch.messages() == 2
    assert watch.cpu_of_message() == watch.cpu_of_round() == 3.0


def test_rounds_are_read_as_they_are_told(tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    lines = [{"kind": "begin", "steps": 3}, *({"kind": "step", "text": f"round {number}"} for number in (0, 1, 2))]
    told.write_text("".join(json.dumps(line) + "\n" for line in lines))
    watch = Watch({}, lambda: 1.5)
    watch.until(told, 2)
    assert [each.cpu for each in watch.rounds] == [1.5, 1.5]
