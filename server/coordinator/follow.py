"""Follows a run from its events, and tells a person what happens as it happens."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from server.coordinator.flower import Flower, FlowerError, NotUpError, Status
from server.coordinator.runs import Event, Run

_EVERY = 0.3  # seconds between two looks at the events
_ASK = 20.0  # seconds without an event after which Flower is asked
_FULL = 50_000_000  # bytes left on a disk that counts as full


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `text` says why where it failed."""

    ok: bool
    text: str = ""


class Screen(Protocol):
    """Where the events of a run are shown."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def note(self, text: str) -> None:
        """Say something that is no event."""


def follow(run: Run, flower: Flower, since: int, screen: Screen) -> Outcome:
    """Show a run's events until it ends.

    Parameters
    ----------
    run : Run
    flower : Flower
        Asked now and then: a ServerApp that was killed writes no last event.
    since : int
        Place in the file of events from which on they belong to this start.
    screen : Screen
    """
    asked = time.monotonic()
    while True:
        events, since = run.events(since)
        for event in events:
            screen.show(event)
            if event["kind"] == "end":
                return Outcome(bool(event.get("ok")), str(event.get("text", "")))
        if run.record.stopped:
            return Outcome(False, "stopped")
        if events:
            asked = time.monotonic()
        elif time.monotonic() - asked > _ASK:
            asked = time.monotonic()
            if (ended := _ended(run, flower, screen)) is not None and not run.events(since)[0]:
                return ended
        time.sleep(_EVERY)


def silent_end(run: Run, status: Status) -> str:
    """Say of a run that ended without a last word what is known."""
    if run.record.stopped or status.word == "finished:stopped":
        return "stopped"
    text = "the ServerApp was ended before it could say why"
    if shutil.disk_usage(run.folder).free < _FULL:
        text = "the disk is full; make room"
    return f"{text} (Flower: {status.word}{', ' if status.details else ''}{status.details})"


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """Give a screen: with progress on a terminal; elsewhere only who is missing is said, on standard error."""
    if not console.is_terminal:
        yield _Log()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Terminal(bar)


def _ended(run: Run, flower: Flower, screen: Screen) -> Outcome | None:
    """Ask Flower whether a run that says nothing has ended."""
    try:
        status = flower.statuses().get(run.record.flower, Status())
    except (NotUpError, FlowerError) as error:
        screen.note(f"{error}; the run goes on when it is up again")
        return None
    return None if status.live else Outcome(False, silent_end(run, status))


class _Log:
    """Names who is missing or far from the others, for whoever reads a log.

    The table at the end is all that standard output gets.
    """

    def __init__(self) -> None:
        self._noted = ""

    def show(self, event: Event) -> None:
        if event["kind"] in ("missing", "far"):
            self.note(f"{event.get('time', '')} {event.get('text')}")

    def note(self, text: str) -> None:
        if text != self._noted:
            print(text, file=sys.stderr, flush=True)
        self._noted = text


class _Terminal:
    """Shows steps as a bar, and scores and what is missing as lines above it."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("waiting for the ServerApp", total=None)
        self._noted = ""

    def show(self, event: Event) -> None:
        match event["kind"]:
            case "begin":
                self.bar.reset(self.task, total=event.get("steps"), description="greeting sites")
            case "step":
                self.bar.update(self.task, advance=1, description=escape(str(event.get("text", ""))))
            case "greeted":
                said = f"{event.get('site')}: Sitebridge {event.get('version')}, {event.get('embedding')} table "
                self._line(f"{said}{event.get('fingerprint')}")
            case "score":
                self._line(_score(event))
            case "missing" | "far":
                self._line(f"{event['kind']}: {event.get('text')}")

    def note(self, text: str) -> None:
        if text != self._noted:
            self._line(text)
        self._noted = text

    def _line(self, text: str) -> None:
        self.bar.console.print(escape(text), highlight=False, soft_wrap=True)


def _score(event: Event) -> str:
    auroc = event.get("auroc")
    shown = f"{auroc:.3f}" if isinstance(auroc, float) else "not told"
    way = " -> ".join(filter(None, (str(event.get("sources", "")), str(event.get("site", "")))))
    return f"{event.get('embedding')}, seed {event.get('seed')}, {event.get('strategy')}: {way} AUROC {shown}"
