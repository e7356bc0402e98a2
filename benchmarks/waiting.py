"""Waits for a condition, or for the end of a process; finds a free port."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any


def free_port() -> int:
    """Give a port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Wait until something is true; give it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"did not happen within {seconds:.0f} s: {what}")
        time.sleep(0.02)
    return found


def cpu_of_ended(process: int) -> float:
    """Wait for the end of a child; give the CPU seconds of it and of those that it waited for."""
    done = wait_for(lambda: (found := os.wait4(process, os.WNOHANG))[0] and found, f"process {process} ends", 60)
    return float(done[2].ru_utime + done[2].ru_stime)
