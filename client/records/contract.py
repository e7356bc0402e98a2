"""What every kind of records gives: encounters and events, batch by batch, and an account of what was odd.

A module of this package knows one format. It neither chooses encounters nor reads meaning into codes: the cohort's
definition does, the same for every format (`client.extraction`). Nothing here keeps more than a batch and a codebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import pyarrow as pa  # type: ignore[import-untyped]

_TIME = pa.timestamp("us")  # the hospital's own clock, without a zone

ENCOUNTERS = pa.schema(
    [
        ("encounter", pa.string()),  # null: the record names none
        ("patient", pa.string()),  # null: the record names none
        ("start", _TIME),
        ("end", _TIME),  # null: not ended, or not known
        ("kind", pa.string()),  # emergency, inpatient, outpatient, virtual, home, or the record's own word; null: none
        ("birth", _TIME),  # of the patient; null: not known
    ]
)

EVENTS = pa.schema(
    [
        ("patient", pa.string()),
        ("encounter", pa.string()),  # null: the record ties it to no encounter
        ("time", _TIME),  # the earliest moment that the record allows; null: it has no time
        ("until", _TIME),  # the latest: the same, or the last microsecond of a day that is known without an hour
        ("entry", pa.int32()),  # position in the codebook
        ("absent", pa.bool_()),  # the record says that it is not so
        ("number", pa.float64()),  # null: it has none
        ("unit", pa.string()),  # of the number, UCUM where the record has it; null: none stated
        ("answer", pa.string()),  # a value that is no number: "SYSTEM code" where it is coded, else its text
    ]
)


class Coding(NamedTuple):
    """A code in a code system, by the system's name of `client.records.systems`, or the record's own."""

    system: str  # "" where the record states none
    code: str


@dataclass(frozen=True)
class Entry:
    """What an event is about: every coding that its record gives for it, and the words for people."""

    codings: tuple[Coding, ...]
    text: str = ""


class Codebook:
    """The different entries that events had so far, each once; events name them by number."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._numbers: dict[tuple[Coding, ...], int] = {}

    def number(self, codings: Iterable[Coding], text: str = "") -> int:
        """Give the number of an entry, a new one if need be; the first text stays."""
        key = tuple(sorted(set(codings)))
        if key not in self._numbers:
            self._numbers[key] = len(self.entries)
            self.entries.append(Entry(key, text))
        return self._numbers[key]


@dataclass
class Account:
    """What was decided about odd records, in words, and how often; for people at the site, never sent."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, decision: str, number: int = 1) -> None:
        """Count a decision, such as "events entered in error: left out"."""
        if number:
            self.counts[decision] = self.counts.get(decision, 0) + number


@dataclass(frozen=True)
class Expansion:
    """What records know of some codes.

    Attributes
    ----------
    descendants : dict of Coding to frozenset of Coding
        For each code asked, itself and everything below it by the records' own hierarchy.
    unknown : frozenset of Coding
        Codes that the records' vocabulary does not have; empty where there is no vocabulary.
    flat : frozenset of str
        Code systems of which the records have no hierarchy, so that a code stands for itself alone.
    """

    descendants: dict[Coding, frozenset[Coding]]
    unknown: frozenset[Coding] = frozenset()
    flat: frozenset[str] = frozenset()


class Records(Protocol):
    """One hospital's records, open for reading.

    Attributes
    ----------
    codebook : Codebook
        Grows while events are read.
    account : Account
        Grows while encounters and events are read.
    """

    codebook: Codebook
    account: Account

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every encounter, of the schema `ENCOUNTERS`, in any order.

        Raises
        ------
        CohortError
            The records cannot be read to their end: says what, where, and what to do; never a value.
        """

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give events, of the schema `EVENTS`, in any order.

        Parameters
        ----------
        wanted : frozenset of Coding or None
            Events of other codes may be left away, to save reading; None asks for all.

        Raises
        ------
        CohortError
            See `encounters`.
        """

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Say what the records' own vocabulary knows of some codes."""
