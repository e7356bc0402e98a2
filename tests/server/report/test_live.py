"""The live page: it says how a run stands, and stays out of the way of a run that has not begun."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.cli import main
from common.errors import ConfigError
from server.report.folder import RunFolder
from server.report.live import follow, live_page, state

BEGIN: dict[str, Any] = {"time": "2026-01-02T03:04:05+00:00", "kind": "begin", "steps": 8}
STEP: dict[str, Any] = {"time": "2026-01-02T03:04:06+01:00", "kind": "step", "text": "round 1 at <b>allegheny</b>"}
END: dict[str, Any] = {"time": "2026-01-02T03:05:05+00:00", "kind": "end", "ok": True, "text": ""}


def told(folder: Path, *events: dict[str, Any]) -> RunFolder:
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return RunFolder(folder)


def refresh(text: str) -> list[str]:
    return re.findall('http-equiv="refresh" content="(.*?)"', text)


def test_it_says_how_far_a_run_is_since_it_was_last_started(folder: Path) -> None:
    text = live_page(told(folder, BEGIN, STEP, STEP, STEP, BEGIN, STEP, STEP), 5)
    assert "Running." in text
    assert re.search(r">2</span> of 8 steps done", text)
    assert "width: 25.0%" in text
    assert refresh(text) == ["5"]
    assert "2026-01-02 02:04:06 UTC" in text
    assert "<b>allegheny" not in text
    assert "Answers of those asked for" in text


@pytest.mark.parametrize(
    ("events", "record", "expected"),
    [
        ([], {}, ("not begun", False)),
        ([BEGIN, STEP], {}, ("running", False)),
        ([BEGIN, END], {}, ("complete", True)),
        ([BEGIN, END, BEGIN], {}, ("running", False)),
        ([BEGIN, {**END, "ok": False, "text": "the disk is full"}], {}, ("failed: the disk is full", True)),
        ([BEGIN, STEP], {"stopped": True}, ("stopped by the coordinator; it can be resumed", True)),
    ],
)
def test_a_run_ends_well_or_not(
    folder: Path, events: list[dict[str, Any]], record: dict[str, Any], expected: tuple[str, bool]
) -> None:
    (folder / "run.json").write_text(json.dumps(record))
    assert state(told(folder, *events)) == expected


def test_it_follows_to_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (results := folder / "results.csv").rename(aside := folder / "aside")
    (folder / "events.jsonl").unlink()
    seen: list[list[str] | None] = []

    def go_on(seconds: float) -> None:
        assert seconds == 7
        page = folder / "live.html"
        seen.append(refresh(page.read_text()) if page.exists() else None)
        events = [BEGIN, STEP, END]
        told(folder, *events[: len(seen)])
        if len(seen) == 3:
            aside.rename(results)

    monkeypatch.setattr("server.report.live.time.sleep", go_on)
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(folder), "--watch", "--every", "7"])
    assert exit_.value.code == 0
    assert seen == [None, ["7"], ["7"]]  # nothing is written into the folder of a run that has not begun
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    text = (folder / "live.html").read_text()
    assert refresh(text) == []
    assert '<a href="report.html">' in text


def test_a_run_that_failed_without_a_result_leaves_a_page_that_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "results.csv").unlink()
    told(folder, BEGIN, {**END, "ok": False, "text": "salt-lake is away"})
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(folder), "--watch"])
    assert exit_.value.code == 1
    assert "no results.csv here" in capsys.readouterr().err
    text = (folder / "live.html").read_text()
    assert "Failed: salt-lake is away." in text
    assert "report.html" not in text


def test_a_run_without_events_cannot_be_followed(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"no events\.jsonl here"):
        follow(folder, folder / "report.html", 1)
