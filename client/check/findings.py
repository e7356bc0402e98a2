"""What a check found, and a check whose parts all run, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from common.errors import SitebridgeError

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes
    ----------
    section : str
    level : {"ok", "warn", "fail"}
    text : str
        What is so; where it is not well, what to do.
    details : dict
        The same in numbers, for JSON.
    """

    section: str
    level: Level
    text: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the finding as JSON has it."""
        return {"section": self.section, "level": self.level, "text": self.text} | self.details


Said = tuple[Level, str] | tuple[Level, str, dict[str, Any]]
Section = Callable[[], Iterable[Said]]


def run(sections: Sequence[tuple[str, Section]]) -> Iterator[Finding]:
    """Run every section; what goes wrong in one is a finding of it, and the next one runs."""
    for name, section in sections:
        try:
            for said in section():
                yield Finding(name, *said)
        except SitebridgeError as error:
            for text in each(error):
                yield Finding(name, "fail", text)
        except OSError as error:
            yield Finding(name, "fail", f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
        except Exception as error:  # its words may quote a patient's row, and a screen may be photographed
            yield Finding(name, "fail", f"cannot be looked at ({type(error).__name__}); please report this")


def each(error: SitebridgeError) -> list[str]:
    """Give each problem of an error as a line of its own."""
    head, *problems = str(error).split("\n  - ")
    subject = head.rpartition(": ")[0]
    return [f"{subject}: {problem}" for problem in problems] or [head.replace("\n", " ")]
