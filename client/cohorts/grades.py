"""A column of numbers cut into named grades, such as a temperature."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from client.cohorts.categories import name_faults
from client.cohorts.cells import Fault, clashes, refuse, spell
from common.concepts import UNKNOWN
from common.toml import Declared

Number = Annotated[float, Field(allow_inf_nan=False)]

PLAUSIBLE = {"C": (25.0, 45.0), "F": (77.0, 113.0), "years": (0.0, 120.0)}  # ends included

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Grade(Declared):
    """A section ``[cohort.grades.CODE]``.

    Attributes
    ----------
    column : str
    unit : {"C", "F", "years"}
        Unit of the column, the cuts and the range; nothing is converted.
    cuts : tuple of float
        Increasing. A number equal to a cut belongs to the grade above it.
    names : tuple of str
        Of the grades, from the lowest numbers to the highest: one more than there are cuts.
    texts : dict of str to str
        The site's own sentence for a grade.
    unknown : tuple of str
        Spellings of "unknown" besides the blank cell and NaN.
    range : tuple of two floats, optional
        Plausible numbers, ends included; by default those of `PLAUSIBLE`.
    """

    column: str
    unit: Literal["C", "F", "years"]
    cuts: Annotated[tuple[Number, ...], Field(min_length=1)]
    names: tuple[str, ...]
    texts: dict[str, str] = Field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    range: tuple[Number, Number] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Grade:
        spellings = clashes({"unknown": self.unknown})
        refuse("Grade", [*self._cut_faults(), *name_faults(self.names, self.texts), *spellings])
        return self

    @property
    def plausible(self) -> tuple[float, float]:
        """The lowest and the highest plausible number."""
        return self.range or PLAUSIBLE[self.unit]

    def read(self, cell: str) -> str | Fault:
        """Give the name of the grade that a cell's number falls into."""
        if cell == "" or cell.casefold() == "nan" or cell in map(spell, self.unknown):
            return UNKNOWN
        if not _NUMBER.fullmatch(cell):
            return Fault("something that is not a number", "expected a number or a blank; correct the cells")
        low, high = self.plausible
        number = float(cell)
        if not low <= number <= high:
            remedy = "correct the cells, or check `unit` and `range`"
            return Fault(f"an implausible number (outside {low:g} to {high:g}, unit {self.unit})", remedy)
        return self.names[bisect_right(self.cuts, number)]

    def _cut_faults(self) -> list[str]:
        faults = []
        if len(self.names) != len(self.cuts) + 1:
            given, cuts = len(self.names), len(self.cuts)
            faults.append(f"{given} names for {cuts} cuts; expected {cuts + 1} names, one more than there are cuts")
        if any(a >= b for a, b in pairwise(self.cuts)):
            faults.append("cuts must increase from one to the next")
        if len(set(self.names)) < len(self.names):
            faults.append("names has a grade twice; name each once")
        low, high = self.plausible
        if low >= high:
            faults.append("range must be the lowest and then the highest plausible number")
        outside = [cut for cut in self.cuts if not low <= cut <= high]
        if low < high and outside:
            plausible = f"the plausible {low:g} to {high:g} (unit {self.unit})"
            faults.append(f"the cut {outside[0]:g} is outside {plausible}; check cuts, unit and range")
        return faults
