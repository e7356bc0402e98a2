"""A light page about a run that goes on, from the files that it writes as it goes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from common.errors import ConfigError
from common.files import write_atomically
from server.report.about import moment
from server.report.contributions import attendance, missing
from server.report.folder import EVENTS, RESULTS, RunFolder
from server.report.render import render
from server.report.trace import Row, Table, attributes, figure, titled

LIVE = "live.html"
_LAST = 12  # events in words

Event = dict[str, Any]


def follow(folder: Path, report: Path, every: int) -> None:
    """Write a run's live page beside its report to be, again and again, until the run ends.

    Parameters
    ----------
    folder : Path
        The run's.
    report : Path
    every : int
        Seconds between two looks, and after which a browser looks again.

    Raises
    ------
    ConfigError
        It is not the folder of a run, or a file in it is damaged.
    """
    while not state(run := RunFolder(folder))[1]:
        if run.events:  # before, the run makes sure that its folder holds nothing
            write_atomically(report.parent / LIVE, live_page(run, every))
        elif (folder / RESULTS).is_file() or not run.federation:
            raise ConfigError(f"{folder}: no {EVENTS} here, so that there is nothing to follow")
        time.sleep(every)


def finish(folder: Path, report: Path) -> None:
    """Write the live page of a run that has ended; it leads to the report, if there is one."""
    content = live_page(RunFolder(folder), 0, report.name if report.is_file() else "")
    write_atomically(report.parent / LIVE, content)


def live_page(run: RunFolder, every: int, report: str = "") -> str:
    """Give the page.

    Parameters
    ----------
    run : RunFolder
    every : int
        Seconds after which a browser takes the page again; 0 for never.
    report : str
        The report's file, in the same folder.
    """
    events = last_start(run.events)
    said, ended = state(run)
    return render(
        "live.html",
        refresh=every,
        name=run.federation.name,
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        state=said,
        ended=ended,
        report=report,
        **_progress(events),
        scores=scores(events, run.over),
        attendance=attendance(run.rounds) if len(run.rounds) else None,
        missing=missing(run.rounds),
        happened=happened(events),
    )


def state(run: RunFolder) -> tuple[str, bool]:
    """Say how a run stands, and whether nothing more is to come of it."""
    events = last_start(run.events)
    if events and events[-1]["kind"] == "end":
        text = str(events[-1].get("text", ""))
        return ("complete", True) if events[-1].get("ok") else (f"failed: {text}", True)
    if run.record.get("stopped"):
        return "stopped by the coordinator; it can be resumed", True
    return ("running" if events else "not begun"), False


def last_start(events: list[Event]) -> list[Event]:
    """Give the events since a run was last started; a resumed run comes by all its steps again."""
    begun = [place for place, event in enumerate(events) if event["kind"] == "begin"]
    return events[begun[-1] :] if begun else events


def scores(events: list[Event], over: str = "") -> Table:
    """List what sites told of models so far, the last first; `over` as in `RunFolder`."""
    rows = []
    for event in reversed([event for event in events if event["kind"] == "score"]):
        words = [str(event.get(name, "")) for name in ("embedding", "seed", "strategy", "sources", "site")]
        words[3] = words[3].replace("+", ", ")
        told = event.get("auroc") if isinstance(event.get("auroc"), float) else None
        trace = attributes(row=f"lines={event['line']}-{event['line']}", file=EVENTS, of="mean")
        rows.append(Row([*words, figure(told, "auroc") or "not told"], trace))
    headings = ["embedding", "seed", "strategy", "learnt at", "site", titled("test AUROC", over)]
    return Table("Scores so far, the last first", headings, rows, 5)


def happened(events: list[Event]) -> Table:
    """Say in words what happened last."""
    rows = [Row([moment(event.get("time")), _words(event)]) for event in events[: -_LAST - 1 : -1]]
    return Table("What happened last", ["when", "what"], rows, 2)


def _progress(events: list[Event]) -> dict[str, Any]:
    """Give how many steps are done, of how many."""
    begun = next((event.get("steps") for event in events if event["kind"] == "begin"), None)
    steps = begun if isinstance(begun, int) and begun > 0 else None
    done = sum(event["kind"] == "step" for event in events)
    lines = f"lines={events[0]['line']}-{events[-1]['line']};kind=step" if events else ""
    counted = figure(done, "kind", "count", 0, lines, EVENTS) if events else Markup("0")
    return {"done": counted, "steps": steps, "share": min(done / steps, 1) if steps else 0.0}


def _words(event: Event) -> str:
    match event["kind"]:
        case "begin":
            return "began"
        case "greeted":
            return f"{event.get('site')} answered, with its {event.get('embedding')} table"
        case "score":
            return f"{event.get('site')} scored {event.get('strategy')} of {event.get('embedding')}"
        case "missing":
            return f"missing: {event.get('text')}"
        case "end":
            return "ended" if event.get("ok") else f"failed: {event.get('text')}"
    return str(event.get("text", event["kind"]))
