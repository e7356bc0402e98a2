"""Codes that are in no set: what is said of them, under the words that the records have for them.

Letters: N encounters, P pairs of an event and an encounter that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from client.extraction.definition import LocalRule
from client.extraction.state import Earliest
from client.records.contract import Codebook, Coding, Entry
from client.records.systems import SYSTEMS

if TYPE_CHECKING:  # which imports this module
    from client.extraction.gather import Pairs

_RANK = {system.name: rank for rank, system in enumerate(SYSTEMS)}


@dataclass(frozen=True)
class Local:
    """A code in no set.

    Attributes
    ----------
    code : str
        ``SYSTEM:code``.
    text : str
        The records' words, or the code where they have none.
    slot : int
        Of "present"; "absent" is the next one.
    encounters : int
        How many encounters of the cohort have it, present or absent.
    """

    code: str
    text: str
    slot: int
    encounters: int


class Locals:
    """The codes in no set that were seen so far.

    Parameters
    ----------
    first_slot : int
        Slots from here on are theirs.
    """

    def __init__(self, codebook: Codebook, first_slot: int) -> None:
        self._codebook, self._first_slot = codebook, first_slot
        self._number_of = np.full(1024, -1, dtype=np.int64)  # of each entry
        self._numbers: dict[Coding, int] = {}
        self._texts: dict[Coding, str] = {}

    def add(self, said: Earliest, pairs: Pairs) -> None:
        """Remember what events of these codes say; pairs of entries in no set."""
        self._number(np.unique(pairs.entry))
        number = self._number_of[pairs.entry]
        known = number >= 0
        slot = self._first_slot + 2 * number + pairs.absent
        said.add(slot[known], pairs.encounter[known], pairs.until[known])

    def found(self, said: Earliest, latest: NDArray[np.int64], kept: NDArray[np.bool_]) -> list[Local]:
        """Give the codes by falling number of encounters, those of one number by their code.

        Parameters
        ----------
        latest : int64 array (N,)
            What was said later does not count.
        kept : bool array (N,)
            The encounters that are in the cohort.
        """
        found = []
        for coding, number in self._numbers.items():
            slot = self._first_slot + 2 * number
            encounter, time = (np.concatenate(both) for both in zip(said.said(slot), said.said(slot + 1), strict=True))
            counted = len(np.unique(encounter[(time <= latest[encounter]) & kept[encounter]]))
            if counted:
                code = f"{coding.system}:{coding.code}"
                found.append(Local(code, self._texts[coding] or coding.code, slot, counted))
        return sorted(found, key=lambda local: (-local.encounters, local.code))

    def _number(self, entries: NDArray[np.int64]) -> None:
        while len(self._codebook.entries) > len(self._number_of):
            self._number_of = np.concatenate([self._number_of, np.full_like(self._number_of, -1)])
        for place in entries[self._number_of[entries] < 0]:
            entry = self._codebook.entries[place]
            if entry.codings:
                coding = _preferred(entry)
                self._number_of[place] = self._numbers.setdefault(coding, len(self._numbers))
                texts = {entry.text.strip(), self._texts.get(coding, "")} - {""}
                self._texts[coding] = min(texts, default="")


def choose_locals(found: list[Local], rule: LocalRule | None, taken: set[str]) -> list[Local]:
    """Give the codes that become concepts; `taken` are the codes of others."""
    if rule is None:
        return []
    frequent = [local for local in found if local.encounters >= rule.at_least and local.code not in taken]
    return frequent[: rule.most]


def _preferred(entry: Entry) -> Coding:
    """Give the coding by which an entry is known: of the best known system."""
    return min(entry.codings, key=lambda coding: (_RANK.get(coding.system, len(_RANK)), coding))
