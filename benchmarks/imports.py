"""CPU of the process that Flower starts for every message: Flower's own, what the relay adds, what torch adds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

# what the command flwr-clientapp imports; read here, never used
_FLOWER = "import flwr.supernode.cli.flwr_clientapp"
KINDS = {
    "Flower's own imports": _FLOWER,
    "and the relay": f"{_FLOWER}, client.app, client.relay",
    "and torch": f"{_FLOWER}, torch",
    "and torch, and an optimiser's first step": f"{_FLOWER}, torch\n"
    "weight = torch.nn.Parameter(torch.ones(1))\nweight.sum().backward()\ntorch.optim.SGD([weight], lr=0.1).step()",
}


def imports(turns: int) -> dict[str, float]:
    """Give the median CPU seconds of each kind of process, taken in turn."""
    used: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(turns):
        for kind, code in KINDS.items():
            used[kind].append(_seconds(code))
    return {kind: statistics.median(times) for kind, times in used.items()}


def _seconds(code: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{code}: {process.returncode}")
    return used.ru_utime + used.ru_stime
