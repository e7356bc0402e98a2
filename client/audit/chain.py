"""Lines of the audit log, how they hang together, and what seals them.

A line is JSON. It holds the SHA-256 of the line before it, and an HMAC of its own content with the agent's key; a file
of its own, the head, says how many lines there are and ends with another HMAC. Whoever changes, removes, inserts or
cuts a line without the key is found by `client.audit.verify`.

What this cannot find: somebody who holds the agent's own key (its user, or root) can write a new log from the first
line to the last; whoever can replace log and head together with older copies of both has cut the log unseen; and where
all three files are removed, only a log that begins anew is left to see. Keep a copy of the head elsewhere, on paper if
need be, where that matters.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import write_atomically

LOG, HEAD, KEY = "audit.jsonl", "audit.head", "audit.key"
FIRST = "0" * 64  # stands before the first line
_KEY_BYTES = 32

Record = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the log as it lies on disk.

    Attributes
    ----------
    number : int
        From 1.
    raw : bytes
        Without its end.
    ended : bool
        Whether the line has its end.
    record : dict or None
        What it says; None where it is no line of an audit log.
    """

    number: int
    raw: bytes
    ended: bool
    record: Record | None

    @property
    def sha256(self) -> str:
        """What the next line holds as `previous`."""
        return hashlib.sha256(self.raw).hexdigest()


def read_lines(path: Path) -> Iterator[Line]:
    """Read a log, whatever became of it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            body = raw.removesuffix(b"\n")
            yield Line(number, body, len(body) < len(raw), _record(body))


def _record(raw: bytes) -> Record | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("previous", "seal"))
    return record if whole else None


def write_line(record: Record, previous: str, key: bytes) -> bytes:
    """Give the bytes of a line, its end included."""
    content = record | {"previous": previous}
    return _canonical(content | {"seal": seal(_canonical(content), key)}) + b"\n"


def sealed(line: Line, key: bytes) -> bool:
    """Whether a line was written with this key, and is as it was written."""
    if line.record is None:
        return False
    content = {name: value for name, value in line.record.items() if name != "seal"}
    return _same(seal(_canonical(content), key), str(line.record["seal"]))


def seal(content: bytes, key: bytes) -> str:
    """Give the HMAC of some bytes."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Head:
    """How long the log is, and how its last line reads."""

    count: int
    sha256: str

    def write(self, folder: Path, key: bytes) -> None:
        """Write the head beside the log."""
        mac = seal(_canonical([self.count, self.sha256]), key)
        write_atomically(folder / HEAD, json.dumps({"count": self.count, "sha256": self.sha256, "seal": mac}) + "\n")


def read_head(folder: Path, key: bytes) -> Head | None:
    """Read the head; None where there is none, or where it was not written with this key."""
    try:
        content = json.loads((folder / HEAD).read_bytes())
        head = Head(int(content["count"]), str(content["sha256"]))
        mac = str(content["seal"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return head if _same(seal(_canonical([head.count, head.sha256]), key), mac) else None


def read_key(folder: Path) -> bytes | None:
    """Read the agent's key, or None where there is none or it may not be read."""
    try:
        key = bytes.fromhex((folder / KEY).read_text())
    except (OSError, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def make_key(folder: Path) -> bytes:
    """Make the agent's key, and the head of a log without lines; only its owner may read the key at any moment.

    The key comes last: where it is, a head must be.

    Raises
    ------
    FileExistsError
        There is a key: it is never replaced.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    handle, aside = tempfile.mkstemp(dir=folder, prefix=f".{KEY}.")  # 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        Head(0, FIRST).write(folder, key)
        os.link(aside, folder / KEY)
    finally:
        os.unlink(aside)
    return key


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="backslashreplace"))


def _canonical(content: Record | list[Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
