"""One program that is kept running: its process, its log, its end."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from common.environment import minimal_environment

_LOG_BYTES = 20_000_000  # of a log before it becomes NAME.log.1, which replaces the one before
_GRACE = 15.0  # seconds to end by itself
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    Attributes
    ----------
    name : str
        Of its log, and in ``processes.json``.
    command : sequence of str
        The executable and its arguments.
    environment : mapping of str to str
        What it gets beyond `common.environment.minimal_environment`.
    pause : float
        Seconds between its end and its next start.
    logs : tuple of Path
        Logs that it opens itself, for appending, to be kept from growing as its own is.
    user : str or None
        Whom it runs as, in that user's group alone; only root can say so.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    pause: float = 2.0
    logs: tuple[Path, ...] = ()
    user: str | None = None


@dataclass
class Process:
    """What ``processes.json`` says of a program.

    Attributes
    ----------
    pid : int or None
        None while it waits for its next start.
    since : str
        When that began, as ISO 8601 in UTC.
    restarts : int
    last_exit : int or None
        Exit code of its last end; below 0, the number of the signal that ended it.
    """

    pid: int | None
    since: str
    restarts: int = 0
    last_exit: int | None = None


class Child:
    """One program, its process and its log."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.log = folder / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.state = Process(None, _now())
        self._starts = 0
        self._next_start = 0.0

    def look(self) -> bool:
        """Notice the end of the process, or start it when its pause is over; says whether something changed."""
        for log in (self.log, *self.program.logs):
            _rotate(log)
        if self.process is not None:
            code = self.process.poll()
            return code is not None and self._ended(code)
        return time.monotonic() >= self._next_start and self._start()

    def end(self) -> None:
        """Ask the process to end; what is left after a while is killed."""
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        self._kill_group()
        self._ended(self.process.wait())

    def _start(self) -> bool:
        with _appending(self.log) as log:
            try:
                self.process = subprocess.Popen(
                    list(self.program.command),
                    env=minimal_environment(self.program.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    **_as_user(self.program.user),
                    preexec_fn=partial(_die_with, os.getpid()),  # safe: this process has one thread
                )
            except OSError as error:
                log.write(f"sitebridge: cannot start {self.program.command[0]}: {error.strerror}\n".encode())
                return self._ended(127)
        self._starts += 1
        self.state = Process(self.process.pid, _now(), self._starts - 1, self.state.last_exit)
        return True

    def _ended(self, code: int) -> bool:
        if self.process is not None:
            self._kill_group()  # workers that outlive their master would keep its port
        self.process = None
        self.state = Process(None, _now(), self.state.restarts, code)
        self._next_start = time.monotonic() + self.program.pause
        return True

    def _kill_group(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _as_user(name: str | None) -> dict[str, Any]:
    """Give the arguments with which a process is another user's, in no group of the supervisor's."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def adopt_orphans() -> None:
    """Let grandchildren that are left over come to this process, to be reaped."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with(parent: int) -> None:
    """Run in a child before its program: ask the kernel for SIGTERM when the supervisor dies, however it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def _appending(log: Path) -> Iterator[IO[bytes]]:
    """Open a log; a full disk costs the log, not the program."""
    try:
        file = log.open("ab", buffering=0)
    except OSError:
        file = open(os.devnull, "ab", buffering=0)  # noqa: SIM115 -- closed below
    with file:
        yield file


def _rotate(log: Path) -> None:
    """Copy a log that has grown aside and empty it; its program keeps it open, for appending."""
    with suppress(OSError):
        if log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
