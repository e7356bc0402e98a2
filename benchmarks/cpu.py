"""CPU seconds of a process and of every descendant, dead or alive, as the kernel accounts for them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # utime, stime, and those of children that were waited for
_TRIES = 20


def seconds(root: int) -> float:
    """Give user and system seconds of a tree of processes.

    Each process counts for itself and for the children that it has waited for; one that has ended and waits to be
    reaped still counts for itself. So nothing is left out, and nothing counts twice, as long as the tree does not
    change while it is read: then it is read again.
    """
    for _ in range(_TRIES):
        before = tree(root)
        total = sum(map(_own_and_reaped, before))
        if tree(root) == before:
            break
        time.sleep(0.005)
    return total


def tree(root: int) -> list[int]:
    """Give a process and its descendants."""
    found = [root]
    for process in found:
        found += children(process)
    return found


def children(process: int) -> list[int]:
    """Give the children of a process, those included that have ended and were not waited for."""
    found = []
    with suppress(OSError):  # it, or a thread of it, has just ended
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def started(process: int) -> float:
    """Give when a process started, in seconds since 1970; 0 where it is gone."""
    fields = _fields(process)
    return _boot() + int(fields[19]) * _TICK if fields else 0.0


def _own_and_reaped(process: int) -> float:
    return sum(map(int, _fields(process)[_TIMES])) * _TICK


def _fields(process: int) -> list[str]:
    """Give the fields of /proc/PID/stat after the command's name; none where the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _boot() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
