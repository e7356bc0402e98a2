"""Writes the audit log. A line is on disk before what it tells of goes on."""

from __future__ import annotations

import errno
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from client.audit.chain import FIRST, KEY, LOG, Head, Record, make_key, read_key, write_line
from client.audit.verify import Findings, examine
from common.errors import ConfigError


class AuditLog:
    """The one writer of a site's audit log.

    Parameters
    ----------
    folder : Path
        The agent's folder.

    Raises
    ------
    ConfigError
        There is a log, but its key is gone or cannot be read.

    Notes
    -----
    Nothing that was written is ever removed. What a crash or a full disk left of a line stays, and the line after it
    tells of it. A log that does not verify when it is opened is gone on with, and says so from then on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = _key_of(folder)
        self._file: int | None = None
        self._head = Head(0, FIRST)

    def append(self, record: Record) -> None:
        """Write one line; when this returns, it is on disk.

        Raises
        ------
        OSError
            The disk is full, or the file cannot be written; nothing that the line tells of may then go on.
        """
        try:
            self._write(self._opened(), record)
        except OSError:
            self.close()  # the next line first sees what this one left behind
            raise

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, file: int, record: Record) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        numbered = {"n": self._head.count + 1, "time": now} | record
        line = write_line(numbered, self._head.sha256, self._key)
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / LOG))
        os.fsync(file)
        self._head = Head(self._head.count + 1, hashlib.sha256(line[:-1]).hexdigest())
        self._head.write(self.folder, self._key)

    def _opened(self) -> int:
        """Give the open file; when it is opened, write down what is wrong with it."""
        if self._file is None:
            found = examine(self.folder)
            self._file = os.open(self.folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            if found.torn and not found.torn[-1].ended:
                os.write(self._file, b"\n")
                now = examine(self.folder)  # with its end, a line may be whole
                found = Findings(found.problems, found.noted, now.torn, now.last)
            self._head = found.last
            if found.torn:
                torn = [line.sha256 for line in found.torn]
                self._write(self._file, {"direction": "note", "note": "lines were torn", "torn": torn})
            fresh = [problem for problem in found.problems if problem not in found.noted]
            if fresh:
                self._write(self._file, {"direction": "note", "note": "the log does not verify", "problems": fresh})
        return self._file


def _key_of(folder: Path) -> bytes:
    key = read_key(folder)
    if key is not None:
        return key
    if (folder / KEY).exists() or (folder / LOG).exists():
        raise ConfigError(
            f"{folder / KEY}: missing, or not this agent's, while there is a log that it seals; put it back, or move "
            f"all three audit files to a safe place to begin a new log"
        )
    return make_key(folder)
