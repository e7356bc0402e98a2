"""The Unix socket where the agent listens, and the lock that keeps it the only one in its folder."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError

TICK = 0.2  # seconds for which `accept` waits

_LOCK = "agent.lock"
_WAITING = 64  # relays that may queue
_LONGEST_PATH = 107  # bytes of a Unix socket's path
_SECONDS = 10.0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the agent's folder: the audit log has one writer.

    Raises
    ------
    ConfigError
        Another agent holds it.
    """
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder}: another agent works here; one folder has one agent") from None
        yield


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a socket that only its owner and its group may use; one that a dead agent left is replaced.

    Raises
    ------
    ConfigError
        An agent that is alive listens there, or the path cannot be a socket's.
    """
    aside = path.with_name(f".{path.name}")  # nobody finds it before it is listened at
    if len(os.fsencode(aside)) > _LONGEST_PATH:
        raise ConfigError(
            f"{path}: a socket's path has at most {_LONGEST_PATH - 1} bytes; use a folder nearer the root"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _demand_free(path)
    aside.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o117)
        try:
            listener.bind(str(aside))
        finally:
            os.umask(before)
        listener.listen(_WAITING)
        listener.settimeout(TICK)
        aside.rename(path)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _demand_free(path: Path) -> None:
    """Refuse a path where an agent listens that is alive, or that is another kind of file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{path}: there is a file that is no socket; remove it, or name another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
    raise ConfigError(f"{path}: another agent listens here; stop it first")
