"""Errors that a person can act on.

SitebridgeError
  x ConfigError   a federation or site file
  x CohortError   a hospital's table of encounters
  x TableError    an embedding table
  x WireError     an array or message that may not cross
  x PolicyError   a task that the site's own file does not allow
  x SiteError     a site that failed, was late, or answered wrongly

A message says what is wrong, where, what was expected and what to do. It never holds a patient's value.
"""

from __future__ import annotations

import re
from typing import NoReturn

_LONGEST = 4000  # characters of a line; all reasons against a federation may be one
# What no terminal and no log may be given: marks of control, lone halves of a pair, and breaks but those of our lists.
_NO_PRINT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\n(?!  )")


class SitebridgeError(Exception):
    """An error to be shown as one message, without a traceback, with exit code 1.

    What it quotes of a file may be anything: what is no print is escaped, and lines are cut where they are too long.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__("\n".join(map(_cut, _printable(message).split("\n"))))


class ConfigError(SitebridgeError):
    """A federation file or a site file cannot be used."""


class CohortError(SitebridgeError):
    """A hospital's table does not hold what its site file says."""


class TableError(SitebridgeError):
    """An embedding table cannot be read, or does not cover what is asked of it."""


class WireError(SitebridgeError):
    """An array or a message is not on the list of what may cross."""


class PolicyError(SitebridgeError):
    """The site's own file does not allow a task."""


class SiteError(SitebridgeError):
    """A site failed, was late, or answered wrongly."""


class Problems:
    """Collects everything wrong with one file, so that it is all said at once.

    Parameters
    ----------
    subject : str
        What is being checked, usually a file's name.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Note one problem."""
        self.lines.append(_printable(line))

    def raise_if_any(self, kind: type[SitebridgeError]) -> None:
        """Raise `kind` with every problem noted so far, if there is one."""
        if self.lines:
            self.fail(kind)

    def fail(self, kind: type[SitebridgeError]) -> NoReturn:
        """Raise `kind` with every problem noted so far."""
        if len(self.lines) == 1:
            raise kind(f"{self.subject}: {self.lines[0]}")
        listed = "".join(f"\n  - {line}" for line in self.lines)
        raise kind(f"{self.subject}: {len(self.lines)} problems{listed}")


def _printable(text: str) -> str:
    return _NO_PRINT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 4 :]}"
