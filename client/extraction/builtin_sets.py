"""Concept sets that ship with Sitebridge: the codes of the paper's findings, and of what labels and grades need.

The file ``common/data/concept_sets.csv`` has a row for every code that was looked at, taken or not, and a row that says
why where a code system has none. How the rows were made and checked: ``docs/concept-sets.md``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from typing import Literal

from client.records.contract import Coding

Relation = Literal["same", "narrower", "broader", "without", "none"]

_TAKEN = ("same", "narrower")
_UNCHECKED = "no"


@dataclass(frozen=True)
class MappedCode:
    """A row of the shipped file: what a code of one system is to a concept.

    Attributes
    ----------
    coding : Coding
        Its code is "" where the relation is "none".
    term : str
        The code system's own name for the code.
    level : str
        "leaf" or "category" for ICD-10-CM, else "".
    relation : str
        "same" and "narrower" are taken. "broader" is not: it would take records of something else, too. "without" is
        taken away, with all that lies below it. "none": the system has no code, the note says why.
    source : str
        Who says that the code means the concept.
    checked : tuple of str
        In which references the code and its term were found, or "no".
    note : str
    """

    coding: Coding
    term: str
    level: str
    relation: Relation
    source: str
    checked: tuple[str, ...]
    note: str

    @property
    def taken(self) -> bool:
        """Whether an event with this code is one of the concept; not so for a code that could not be checked."""
        return self.relation in _TAKEN and _UNCHECKED not in self.checked


@dataclass(frozen=True)
class BuiltinSet:
    """The codes of one concept.

    Attributes
    ----------
    code : str
        The paper's code, or a name such as ``influenza_test``.
    text : str
        The concept in words.
    rows : tuple of MappedCode
        All that is known of it, in the order of the file.
    codings : tuple of Coding
        Codes that are taken; empty for a concept that is written in words only.
    without : tuple of Coding
        Codes to leave out of what lies below the taken ones, with what lies below these.
    """

    code: str
    text: str
    rows: tuple[MappedCode, ...]
    codings: tuple[Coding, ...]
    without: tuple[Coding, ...]


def builtin_sets() -> dict[str, BuiltinSet]:
    """Give the shipped sets by the paper's code, for the 69 findings and the temperature, or by their name.

    Sets with a name are no findings of the paper: ``influenza``, ``influenza_test``, ``rsv_test``,
    ``oxygen_saturation``, ``respiratory_rate``.
    """
    return dict(_shipped())


@lru_cache(maxsize=1)
def _shipped() -> dict[str, BuiltinSet]:
    groups = groupby(_lines(), key=lambda line: (line["concept"], line["text"]))
    sets = (_set(code, text, tuple(map(_row, lines))) for (code, text), lines in groups)
    return {found.code: found for found in sets}


def _lines() -> Iterator[dict[str, str]]:
    content = files("common").joinpath("data", "concept_sets.csv").read_text(encoding="utf-8")
    yield from csv.DictReader(content.splitlines())


def _row(line: dict[str, str]) -> MappedCode:
    relation: Relation = line["relation"]  # type: ignore[assignment]
    coding = Coding(line["system"], line["code"])
    checked = tuple(line["checked"].split())
    return MappedCode(coding, line["term"], line["level"], relation, line["source"], checked, line["note"])


def _set(code: str, text: str, rows: tuple[MappedCode, ...]) -> BuiltinSet:
    codings = tuple(row.coding for row in rows if row.taken)
    without = tuple(row.coding for row in rows if row.relation == "without")
    return BuiltinSet(code, text, rows, codings, without)
