"""A cohort's definition: which encounters, which label, which findings; the same for every kind of records."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from client.cohorts.cells import refuse
from client.cohorts.splits import SplitPlan
from client.extraction.builtin_sets import BuiltinSet, builtin_sets
from client.extraction.codes import Code
from client.extraction.durations import parse_duration
from client.extraction.labels import LabelRule
from client.extraction.measures import AgeRule, GradeRule, Threshold
from common.concepts import builtin_concepts
from common.toml import Declared, read_toml

ENCOUNTER, PATIENT, START, LABEL = "encounter", "patient", "start", "label"  # columns of the extracted table
RESERVED = (ENCOUNTER, PATIENT, START, LABEL)
END = "end"

_Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Index(Declared):
    """The section ``[index]``: which encounters are taken.

    Attributes
    ----------
    kinds : tuple of str, optional
    since, before : date, optional
        The day of the start: from this one on (``from`` in the file), and before that one.
    age : tuple of two ints, optional
        Whole years at the start, ends included; without it, an unknown age is allowed.
    require, exclude : tuple of str
        Sets of which an event must, or may not, lie in the window.
    first : bool
        A patient's first such encounter only.
    """

    kinds: _Names | None = None
    since: date | None = Field(default=None, alias="from")
    before: date | None = None
    age: tuple[int, int] | None = None
    require: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    first: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Index:
        faults = []
        if self.since and self.before and self.since >= self.before:
            faults.append("from must be a day earlier than before")
        if self.age and not 0 <= self.age[0] <= self.age[1]:
            faults.append("age must be the youngest and then the oldest, in years")
        both = sorted(set(self.require) & set(self.exclude))
        faults += [f'the set "{name}" is both required and excluded' for name in both]
        refuse("Index", faults)
        return self


class Window(Declared):
    """The section ``[window]``: which events count for an encounter, by their time from its start.

    Attributes
    ----------
    before, after : str
        Such as "24h" or "3d"; `after` may be "end", the encounter's end.
    after_label : bool
        Whether what was recorded after the label's time counts, too.
    """

    before: str
    after: str
    after_label: bool = False

    @field_validator("before", "after")
    @classmethod
    def _length(cls, value: str) -> str:
        if value != END:
            parse_duration(value)
        return value

    @model_validator(mode="after")
    def _agree(self) -> Window:
        if self.before == END:
            raise ValueError('before must be a length of time, such as "24h"')
        return self


class SetRule(Declared):
    """A section ``[sets.NAME]``: a set of codes.

    Attributes
    ----------
    codes, without : tuple of Coding
        What it holds, and what it does not although it lies below.
    builtin : tuple of str
        Names of shipped sets that it holds, too.
    descendants : bool
        Whether it holds what lies below its codes.
    missing_codes : {"error", "leave out"}
        What becomes of codes that the records' vocabulary does not have.
    """

    codes: tuple[Code, ...] = ()
    builtin: tuple[str, ...] = ()
    descendants: bool = True
    without: tuple[Code, ...] = ()
    missing_codes: Literal["error", "leave out"] = "error"

    @model_validator(mode="after")
    def _agree(self) -> SetRule:
        faults = [] if self.codes or self.builtin else ["holds nothing; add codes or builtin"]
        refuse("SetRule", [*faults, *_not_built_in("builtin", self.builtin, builtin_sets())])
        return self


class LocalRule(Declared):
    """The key ``findings.local``: the most frequent codes in no set become concepts by themselves.

    Attributes
    ----------
    most : int
        At most so many concepts.
    at_least : int
        Encounters that must have the code.
    """

    most: Annotated[int, Field(ge=1, strict=True)]
    at_least: Annotated[int, Field(ge=1, strict=True)] = 100


class FindingsRule(Declared):
    """The section ``[findings]``.

    Attributes
    ----------
    builtin : bool or tuple of str
        All shipped findings that have a set, or some of them by code.
    local : LocalRule, optional
    sets : dict of str to str
        Set of each concept code.
    numbers : dict of str to Threshold
        By concept code; adds to the code's set, where it has one.
    """

    builtin: bool | tuple[str, ...] = False
    local: LocalRule | None = None
    sets: dict[str, str] = Field(default_factory=dict)
    numbers: dict[str, Threshold] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> FindingsRule:
        if isinstance(self.builtin, tuple):
            refuse("FindingsRule", _not_built_in("builtin", self.builtin, findings_built_in()))
        return self


class SplitRule(Declared):
    """The section ``[split]``: by the day of the start, or by hash of the patient."""

    by: Literal["date", "hash"]
    test_from: date | None = None
    test: float | None = None
    validation: float = 0.2
    seed: int = 0

    @model_validator(mode="after")
    def _agree(self) -> SplitRule:
        self.plan()
        return self

    def plan(self) -> SplitPlan:
        """Give the split as a site file would declare it."""
        told = {key: getattr(self, key) for key in self.model_fields_set}
        return SplitPlan.model_validate(told | ({"column": START} if self.by == "date" else {}))


class Definition(Declared):
    """A definition, as it is written."""

    name: str
    index: Index = Index()
    window: Window
    sets: dict[str, SetRule] = Field(default_factory=dict)
    label: LabelRule
    findings: FindingsRule = FindingsRule()
    grades: dict[str, GradeRule] = Field(default_factory=dict)
    ages: dict[str, AgeRule] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)
    split: SplitRule

    @model_validator(mode="after")
    def _agree(self) -> Definition:
        faults = [*self._set_faults(), *self._code_faults(), *self._text_faults()]
        if not self.finding_codes() and not self.grades and not self.ages and self.findings.local is None:
            faults.append("declares no concept; add [findings], [grades.CODE] or [ages.CODE]")
        refuse("Definition", faults)
        return self

    def used_sets(self) -> Iterator[tuple[str, str]]:
        """Give each key that names a set, and the set."""
        yield "label.set", self.label.set
        yield from (("index.require", name) for name in self.index.require)
        yield from (("index.exclude", name) for name in self.index.exclude)
        yield from ((f"findings.sets.{code}", name) for code, name in self.findings.sets.items())
        yield from ((f"findings.numbers.{code}.set", rule.set) for code, rule in self.findings.numbers.items())
        yield from ((f"grades.{code}.set", rule.set) for code, rule in self.grades.items())

    def built_in_findings(self) -> tuple[str, ...]:
        """Give the codes of the shipped findings that are taken by their shipped set."""
        asked = self.findings.builtin
        if isinstance(asked, tuple):
            return asked
        own = {*self.findings.sets, *self.grades, *self.ages}
        return tuple(code for code in findings_built_in() if code not in own) if asked else ()

    def finding_codes(self) -> tuple[str, ...]:
        """Give the codes of all findings but local ones: built-in, own, numbers."""
        return tuple(dict.fromkeys((*self.built_in_findings(), *self.findings.sets, *self.findings.numbers)))

    def digest(self) -> str:
        """Give the SHA-256 of what the definition says; comments and order of tables do not count."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def _set_faults(self) -> Iterator[str]:
        yield from (f'sets."{name}": a set\'s name has no space in it' for name in self.sets if " " in name)
        for key, name in self.used_sets():
            if name not in self.sets:
                near = difflib.get_close_matches(name, self.sets, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; add [sets.{name}]"
                yield f'{key}: no set "{name}"{hint}'
            elif key != "label.set" and name == self.label.set and not key.startswith("index."):
                yield f'{key}: "{name}" is the label\'s own set; what is predicted cannot be a finding'

    def _code_faults(self) -> Iterator[str]:
        listed = self.findings.builtin if isinstance(self.findings.builtin, tuple) else ()
        places = [("findings.builtin", listed), ("findings.sets", self.findings.sets)]
        places += [("grades", self.grades), ("ages", self.ages)]
        yield from _twice(places)
        yield from _twice([("findings.numbers", self.findings.numbers), *places[2:]])
        for code in (*self.finding_codes(), *self.grades, *self.ages):
            if code in RESERVED or not code.strip():
                yield f'"{code}" cannot be a concept\'s code: the table has a column of this name'

    def _text_faults(self) -> Iterator[str]:
        yield from (f'texts."{code}" is blank' for code, text in self.texts.items() if not text.strip())
        codes = {*self.finding_codes(), *self.grades, *self.ages}
        if self.findings.local is None:  # otherwise a text may be a local concept's
            yield from (f'texts."{code}": no concept has this code' for code in self.texts if code not in codes)


def read_definition(path: Path) -> Definition:
    """Read and check a definition.

    Raises
    ------
    ConfigError
        Names everything that is wrong.
    """
    return read_toml(path, Definition)


def findings_built_in() -> tuple[str, ...]:
    """Give the codes of the shipped findings, values P, A and M, that have a shipped set with a code."""
    concepts = builtin_concepts()
    shipped = builtin_sets()
    return tuple(code for code, concept in concepts.items() if not concept.values and has_codes(shipped, code))


def has_codes(shipped: dict[str, BuiltinSet], code: str) -> bool:
    """Say whether a shipped set holds any code; of some findings there is none."""
    return code in shipped and bool(shipped[code].codings)


def _not_built_in(key: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    lines = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            lines.append(f'{key}: no built-in set "{name}"{f"; did you mean {near[0]}?" if near else ""}')
    return lines


def _twice(places: Iterable[tuple[str, Iterable[str]]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for place, codes in places:
        for code in codes:
            if code in first:
                where = place if place == first[code] else f"{first[code]} and {place}"
                yield f'the concept "{code}" is declared twice, under {where}'
            first.setdefault(code, place)
