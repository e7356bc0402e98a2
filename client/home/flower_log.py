"""Reads what Flower's SuperNode said in its log: whether it is connected, as which node, and why it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TAIL = 65_536  # bytes at the end of a log
_START = "Starting Flower SuperNode"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NODE = re.compile(r"SuperNode ID: (\d+)")
_EXIT = re.compile(r"Exit Code: (\d+)")

WORDS = {
    "302": "Flower cannot read relay/node.key; `sitebridge site check` looks at it",
    "305": "the coordinator refused the connection. Either it still counts this site as connected, after a relay that "
    "was cut off: that clears within a minute, and the relay keeps trying. Or it does not know this site's key: "
    "`sitebridge site check` tells which",
}


@dataclass(frozen=True)
class Session:
    """What a SuperNode said since its last start.

    Attributes
    ----------
    node : int or None
        Its number, once the coordinator has accepted it.
    exit_code : str
        Flower's own, of the end that it announced last; "" where it announced none.
    """

    node: int | None = None
    exit_code: str = ""

    @property
    def why(self) -> str:
        """Its last end in words; "" where it announced none."""
        return "" if not self.exit_code else WORDS.get(self.exit_code, f"Flower's exit code {self.exit_code}")


def last_session(log: Path) -> Session:
    """Read the end of a SuperNode's log."""
    text = tail(log)
    node = _NODE.findall(text.rpartition(_START)[2])
    ended = _EXIT.findall(text)
    return Session(int(node[-1]) if node else None, ended[-1] if ended else "")


def last_node(log: Path) -> int | None:
    """Give the number under which the coordinator last accepted this site, if the log still says so."""
    found = _NODE.findall(tail(log))
    return int(found[-1]) if found else None


def tail(log: Path) -> str:
    """Give the end of a log, without colours; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            return _COLOUR.sub("", file.read().decode("utf-8", "replace"))
    except OSError:
        return ""
