"""A run's folder: made, submitted, stopped, resumed, and what its files say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from common.config import Federation, digest, load_federation
from common.errors import ConfigError, Problems
from common.files import write_atomically
from common.strategies import POOLED
from common.toml import Declared
from server.coordinator.flower import Flower
from server.coordinator.folder import Folder
from server.coordinator.registry import registered
from server.events import EVENTS

FEDERATION = "federation.toml"
RECORD = "run.json"

Event = dict[str, Any]


class Record(Declared):
    """What ``run.json`` says.

    Attributes
    ----------
    flower : str
        Flower's number for the last start.
    started : str
        When the last start was, as ISO 8601.
    starts : int
    digest : str
        Of the federation, `common.config.digest`.
    stopped : bool
        Whether the coordinator stopped it.
    """

    flower: str
    started: str
    starts: int = 1
    digest: str
    stopped: bool = False


@dataclass(frozen=True)
class Run:
    """One run of a coordinator."""

    folder: Path

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.folder.name

    @property
    def record(self) -> Record:
        """What was noted when it was started."""
        try:
            return Record.model_validate_json((self.folder / RECORD).read_bytes())
        except (OSError, ValidationError):
            raise ConfigError(
                f"{self.folder}: {RECORD} is missing or damaged; this is no run of a coordinator"
            ) from None

    @property
    def federation(self) -> Federation:
        """Its configuration."""
        return load_federation(self.folder / FEDERATION)

    def keep(self, record: Record) -> None:
        """Note how it was started."""
        write_atomically(self.folder / RECORD, record.model_dump_json(indent=1) + "\n")

    def events(self, since: int = 0) -> tuple[list[Event], int]:
        """Give the events after a place in the file, and the place after them."""
        try:
            with (self.folder / EVENTS).open("rb") as file:
                file.seek(since)
                content = file.read()
        except FileNotFoundError:
            return [], since
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be half written
        return list(_parsed(whole)), since + len(whole)

    def last_start(self) -> list[Event]:
        """Give the events since the run was last started or resumed."""
        events, _ = self.events()
        begins = [number for number, event in enumerate(events) if event["kind"] == "begin"]
        return events[begins[-1] :] if begins else events


def new_run(folder: Folder, federation: Federation) -> Run:
    """Make the folder of a new run, with the whole configuration and without any path of a site's file."""
    run = Run(folder.runs / f"{federation.name}-{datetime.now():%Y%m%d-%H%M%S}")
    run.folder.mkdir(parents=True)
    content = federation.model_dump(exclude_none=True)
    content["sites"] = {name: {} for name in federation.sites}
    write_atomically(run.folder / FEDERATION, tomli_w.dumps(content))
    return run


def check_deployable(folder: Folder, federation: Federation, path: Path) -> None:
    """Make sure that a federation can run over the registered sites.

    Raises
    ------
    ConfigError
        Names everything that stands against it.
    """
    from server.aggregation import check_aggregation

    problems = Problems(str(path))
    if POOLED in federation.strategies:
        problems.add(f"strategies: {POOLED!r} needs all encounters in one place; it is for simulations only")
    known = registered(folder)
    for name in federation.sites:
        if name not in known:
            problems.add(f"sites: {name} is not registered; sitebridge coordinator register {name} REQUEST.json")
    problems.raise_if_any(ConfigError)
    check_aggregation(federation)


def refuse_second(folder: Folder, flower: Flower) -> None:
    """Make sure that no run is live.

    Raises
    ------
    ConfigError
        One is.
    """
    if live := live_run(folder, flower):
        raise ConfigError(
            f"{live.name} is running, and there is one run at a time; watch it with `sitebridge coordinator status "
            f"{live.name}`, or end it with `sitebridge coordinator stop`"
        )


def start(run: Run, flower: Flower) -> None:
    """Start a run, or start it again; its journal answers what was answered before."""
    number = flower.start(run.folder / FEDERATION, run.folder)
    starts = run.record.starts + 1 if (run.folder / RECORD).is_file() else 1
    started = datetime.now(UTC).isoformat(timespec="seconds")
    run.keep(Record(flower=number, started=started, starts=starts, digest=digest(run.federation)))


def stop(run: Run, flower: Flower) -> None:
    """Stop a run; it can be resumed."""
    flower.stop(run.record.flower)
    run.keep(run.record.model_copy(update={"stopped": True}))


def check_resumable(run: Run) -> None:
    """Make sure that a run is neither complete nor of a kind that cannot go on.

    Raises
    ------
    ConfigError
        It is.
    """
    last = run.last_start()
    if last and last[-1]["kind"] == "end" and last[-1]["ok"]:
        raise ConfigError(
            f"{run.name}: complete; there is nothing to resume. Its table: sitebridge coordinator status {run.name}"
        )
    if run.federation.aggregation.noise is not None:
        raise ConfigError(f"{run.name}: a run with drawn noise cannot be resumed: the noise would be another")


def every_run(folder: Folder) -> list[Run]:
    """Give all runs, the last one made first."""
    found = [path for path in folder.runs.iterdir() if (path / RECORD).is_file()] if folder.runs.is_dir() else []
    return [Run(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def find_run(folder: Folder, name: str) -> Run:
    """Give a run by its name or its folder.

    Raises
    ------
    ConfigError
        There is no such run.
    """
    for run in every_run(folder):
        if name in (run.name, str(run.folder)) or Path(name).absolute() == run.folder:
            return run
    raise ConfigError(f"{name}: no such run; runs are: {', '.join(run.name for run in every_run(folder)) or 'none'}")


def live_run(folder: Folder, flower: Flower) -> Run | None:
    """Give the run that Flower has not finished."""
    live = {number for number, status in flower.statuses().items() if status.live}
    return next((run for run in every_run(folder) if run.record.flower in live), None)


def _parsed(content: bytes) -> Iterator[Event]:
    """Read lines; one that a crash or a full disk cut short is left out."""
    for line in content.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            yield event
