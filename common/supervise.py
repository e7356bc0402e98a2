"""Keeps a few programs running: starts them in order, restarts what ends, and ends them all together.

Containers have no init system, and a hospital's server may have any; so the coordinator and both halves of a site bring
this. One thread, no dependency. `FOLDER/processes.json` says what runs and `FOLDER/NAME.log` what it said.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from common.child import Child, Process, Program, adopt_orphans
from common.errors import SitebridgeError
from common.files import write_atomically

__all__ = ["PROCESSES", "Process", "Program", "processes", "supervise"]

PROCESSES = "processes.json"

_LOCK = "processes.lock"
_TICK = 0.2  # seconds between two looks


def supervise(programs: Sequence[Program], folder: Path, watch: Callable[[], None] | None = None) -> None:
    """Run programs until SIGTERM or SIGINT; then end them, the last one started first.

    Parameters
    ----------
    programs : sequence of Program
        In the order of their start.
    folder : Path
        For ``processes.json`` and the logs.
    watch : callable, optional
        Called several times a second, between two looks at the programs; must be quick.

    Raises
    ------
    SitebridgeError
        Programs are supervised in that folder already.
    """
    with _alone(folder), _until_told() as told:
        adopt_orphans()
        children = [Child(program, folder) for program in programs]
        try:
            while not told.is_set():
                _reap(children)
                changed = [child.look() for child in children]
                if any(changed):
                    _write(folder, children)
                if watch is not None:
                    watch()
                told.wait(_TICK)
        finally:
            for child in reversed(children):
                child.end()
            _write(folder, children)


def processes(folder: Path) -> dict[str, Process]:
    """Give what is supervised in `folder` at this moment; nothing where no supervisor is alive."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError, ValueError, TypeError):
            content = json.loads((folder / PROCESSES).read_text(encoding="utf-8"))
            return {name: Process(**state) for name, state in content.items()}
    except OSError:
        pass
    return {}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. The kernel lets go of it with this process, whatever becomes of that."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SitebridgeError(f"{folder}: already up; end that one first, or use another folder") from None
        yield


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reap(children: list[Child]) -> None:
    """Take the exit codes of orphans, which come to the first process of a container; those of `children` stay."""
    ours = {child.process.pid for child in children if child.process is not None}
    with suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid not in ours:
            os.waitpid(found.si_pid, 0)


def _write(folder: Path, children: list[Child]) -> None:
    content = {child.program.name: asdict(child.state) for child in children}
    with suppress(OSError):  # a full disk must not end what runs
        write_atomically(folder / PROCESSES, json.dumps(content, indent=1) + "\n")
