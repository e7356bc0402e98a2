"""What the programs that Sitebridge starts are told of their surroundings: little, and nothing that calls home."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Flower and Ray must neither call home nor install anything while a hospital's data is near.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PASSED = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", *_PROXIES)
_POLL = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"  # seconds; the one interval of Flower's that its users can set
_LOOPBACK = "127.0.0.1,localhost"


def minimal_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give a child's environment: a short list of variables of ours, then `more`.

    What else is set here may be a secret, and Flower's processes run code that came with a message.
    """
    names = {*_PASSED, *(name.upper() for name in _PROXIES)}
    kept = {name: value for name, value in os.environ.items() if name in names}
    for name in ("no_proxy", "NO_PROXY"):  # Flower's parts talk to each other on loopback, never through a proxy
        kept[name] = ",".join(filter(None, (kept.get(name), _LOOPBACK)))
    poll = {_POLL: os.environ.get(_POLL, "0.25")}
    return kept | QUIET | poll | {"PATH": _path()} | dict(more or {})


def _path() -> str:
    """Put this installation's commands first: Flower starts its processes by their names."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
