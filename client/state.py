"""What the agent says of itself to those who may read its folder: `sitebridge site status` shows it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import __version__
from common.files import write_atomically

STATE = "state.json"

log = logging.getLogger("sitebridge.site")


class State:
    """The file ``agent/state.json``.

    Parameters
    ----------
    folder : Path
        The agent's folder.

    Notes
    -----
    Keys: ``since``, ``pid``, ``version``; ``site_file``, "ok" or why it cannot be used; ``cohort``, for each embedding
    the encounters of every split, once they are loaded; ``identity``, the fingerprint of the key by which other sites
    know this one in secure aggregation; ``working``, the task at hand; ``last``, the last one with its
    code; ``error``, the last thing that went wrong. It does not leave the site.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STATE
        self._facts: dict[str, Any] = {
            "since": _now(),
            "pid": os.getpid(),
            "version": __version__,
            "site_file": "not read yet",
            "cohort": {},
            "working": None,
            "last": None,
            "error": read_state(folder).get("error"),  # of an earlier process, until there is a newer one
        }

    def set(self, **facts: Any) -> None:
        """Change some facts and write them all; a disk that is full stops no task here."""
        self._facts |= facts
        try:
            write_atomically(self.path, json.dumps(self._facts, indent=1) + "\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self.path, error.strerror)

    def begin(self, task: Mapping[str, Any]) -> None:
        """Say which task is at hand."""
        self.set(working={"since": _now(), **task})

    def end(self, task: Mapping[str, Any], code: str, why: str, **facts: Any) -> None:
        """Say how it ended, and what else has changed."""
        last = {"time": _now(), **task, "code": code}
        error = {} if code == "ok" else {"error": {"time": last["time"], "code": code, "text": why}}
        self.set(working=None, last=last, **error, **facts)

    def failed(self, code: str, why: str) -> None:
        """Say what went wrong."""
        self.set(working=None, error={"time": _now(), "code": code, "text": why})


def read_state(folder: Path) -> dict[str, Any]:
    """Read what the agent last said; empty where it never ran."""
    try:
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
