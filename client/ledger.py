"""The site's memory of runs: which one is served, and how many different tasks each has asked for.

It outlives the agent's process. A site serves one run at a time; a message of a run that another has replaced is
refused, so that nobody can play an old one again.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from client.refusals import OldRunError
from common.errors import ConfigError, PolicyError, WireError
from common.files import write_atomically
from common.tasks import Greet, Request, Work

LEDGER = "ledger.json"
_RUNS = 20  # whose tasks are remembered
_AHEAD = 600 * 10**9  # nanoseconds: a session from further in the future would lock out all that come before it


class _Written(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    run: str = ""
    session: int = 0  # the greatest that was ever accepted
    tasks: dict[str, list[str]] = {}  # for each run, the latest last: marks of its different tasks


class Ledger:
    """Says whether a task belongs to the run that is served, and counts tasks.

    Parameters
    ----------
    folder : Path
        The agent's folder.

    Raises
    ------
    ConfigError
        The file is there, but is no ledger. Without it an old message could be played again, so it is not replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        try:
            self._written = _Written.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            self._written = _Written()
        except (OSError, ValidationError):
            raise ConfigError(
                f"{self.path}: not a ledger, or not readable; put back the file, or remove it to begin a new one "
                "(messages of old runs are then accepted once more)"
            ) from None

    @property
    def current(self) -> tuple[str, int]:
        """The run that is served, and its session."""
        return self._written.run, self._written.session

    def greet(self, task: Greet) -> None:
        """Begin to serve a task's run, or go on with it.

        Raises
        ------
        OldRunError
            The session is not greater than every one before.
        WireError
            The session lies in the future.
        """
        if (task.run, task.session) == self.current and task.session:
            return
        if task.session <= self._written.session:
            raise OldRunError(f"run {task.run!r}, session {task.session}: this site already serves {self._now()}")
        if task.session > time.time_ns() + _AHEAD:
            raise WireError(f"session {task.session} begins more than ten minutes from now, by this machine's clock")
        tasks = dict(self._written.tasks)
        tasks[task.run] = tasks.pop(task.run, [])  # the latest last
        self._write(task.run, task.session, dict(list(tasks.items())[-_RUNS:]))

    def work(self, task: Work, request: Request, most: int) -> None:
        """Note a task of the run that is served, before it is done. One that is asked again is noted once.

        Parameters
        ----------
        most : int
            Different tasks that one run may ask for.

        Raises
        ------
        OldRunError
            The task belongs to another run, or to another start of it.
        PolicyError
            It would be one task too many.
        """
        if (task.run, task.session) != self.current or not task.session:
            raise OldRunError(f"run {task.run!r}, session {task.session}: this site serves {self._now()}")
        known = self._written.tasks.get(task.run, [])
        mark = mark_of(task, request)
        if mark in known:
            return
        if len(known) >= most:
            raise PolicyError(f"run {task.run!r} has asked for {len(known)} tasks; policy.max_tasks is {most}")
        self._write(task.run, task.session, self._written.tasks | {task.run: [*known, mark]})

    def _write(self, run: str, session: int, tasks: dict[str, list[str]]) -> None:
        """Write it all; what is in memory changes once it is on disk."""
        written = _Written(run=run, session=session, tasks=tasks)
        write_atomically(self.path, written.model_dump_json() + "\n")
        self._written = written

    def _now(self) -> str:
        run, session = self.current
        return f"run {run!r}, session {session}" if session else "no run yet"


def mark_of(task: Work, request: Request) -> str:
    """Give what tells one task from another: all of it with its weights, but not which start of the run it is of."""
    content: dict[str, Any] = task.model_dump(mode="json", exclude={"session"})
    digest = hashlib.sha256(json.dumps([content, request.proximal_mu], sort_keys=True).encode())
    for name, values in sorted(request.arrays.items()):
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()[:16]
