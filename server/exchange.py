"""Keeps account of everything that crosses between the coordinator and a site."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import pandas as pd


@dataclass(frozen=True)
class Errand:
    """What a batch of messages is for; goes into the account of what crossed."""

    phase: str
    embedding: str
    seed: int
    round: int = 0

    def __str__(self) -> str:
        return f"{self.phase}, round {self.round}" if self.round else self.phase


@dataclass(frozen=True)
class Crossing:
    """One message.

    Attributes
    ----------
    direction : str
        "out" to the site, "back" from it.
    arrays : str
        Names of the arrays, empty when there was none.
    numbers : int
        Numbers in those arrays.
    bytes : int
        Of arrays, figures and words, before the transport's framing.
    """

    embedding: str
    seed: int
    phase: str
    round: int
    site: str
    direction: str
    arrays: str
    numbers: int
    bytes: int


@dataclass
class Exchange:
    """All messages of a run, in order."""

    crossings: list[Crossing] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Give one row a message."""
        return pd.DataFrame(self.crossings, columns=[each.name for each in fields(Crossing)])
