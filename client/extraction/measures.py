"""Numbers in a definition: which are taken, in which unit, and the grades that they are cut into."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from client.cohorts.cells import refuse
from client.cohorts.grades import PLAUSIBLE, Grade, Number
from client.extraction.units import unit_fault
from common.toml import Declared

_PLAUSIBLE = {"Cel": PLAUSIBLE["C"], "[degF]": PLAUSIBLE["F"], "a": PLAUSIBLE["years"]}
_ANY = (-1e300, 1e300)


class CutNumber(Grade):
    """A column of an extracted table, in any unit."""

    unit: str  # type: ignore[assignment]  # a UCUM unit: the table was written in it


class Measure(Declared):
    """What is read as a number.

    Attributes
    ----------
    set : str
        Name of the concept set whose events carry the number.
    unit : str
        UCUM; numbers in other units are converted.
    units : dict of str to str
        What a unit of the records means, in UCUM; "" where they state none.
    range : tuple of two floats, optional
        Numbers in `unit`, ends included; others are taken as unknown, and counted.
    """

    set: str
    unit: str
    units: dict[str, str] = Field(default_factory=dict)
    range: tuple[Number, Number] | None = None

    @model_validator(mode="after")
    def _readable(self) -> Measure:
        faults = [unit_fault(unit) for unit in (self.unit, *self.units.values())]
        if self.range is not None and self.range[0] >= self.range[1]:
            faults.append("range must be the lowest and then the highest number")
        refuse(type(self).__name__, [fault for fault in faults if fault])
        return self

    @property
    def plausible(self) -> tuple[float, float]:
        """The lowest and the highest number that is taken."""
        return self.range or _PLAUSIBLE.get(self.unit, _ANY)


class Threshold(Measure):
    """A section ``[findings.numbers.CODE]``: present above a number, or below one; absent otherwise."""

    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Threshold:
        if (self.above is None) == (self.below is None):
            raise ValueError("needs either above or below")
        return self


class GradeRule(Measure):
    """A section ``[grades.CODE]``.

    Attributes
    ----------
    take : {"highest", "lowest", "first", "last"}
        Of several numbers; of several at one time, "first" and "last" take the highest.
    cuts, names, texts
        As in ``[cohort.grades.CODE]`` of a site file.
    """

    take: Literal["highest", "lowest", "first", "last"] = "highest"
    cuts: Annotated[tuple[Number, ...], Field(min_length=1)]
    names: tuple[str, ...]
    texts: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _cut(self) -> GradeRule:
        if self.range is None or self.range[0] < self.range[1]:
            self.column("number")
        return self

    def column(self, name: str) -> CutNumber:
        """Declare the column of the extracted table that holds the number."""
        low, high = self.plausible
        return CutNumber(
            column=name, unit=self.unit, cuts=self.cuts, names=self.names, texts=self.texts, range=(low, high)
        )


class AgeRule(Declared):
    """A section ``[ages.CODE]``: whole years at the encounter's start, cut into grades."""

    cuts: Annotated[tuple[Number, ...], Field(min_length=1)]
    names: tuple[str, ...]
    texts: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _cut(self) -> AgeRule:
        self.column("age")
        return self

    def column(self, name: str) -> CutNumber:
        """Declare the column of the extracted table that holds the age."""
        return CutNumber(column=name, unit="years", cuts=self.cuts, names=self.names, texts=self.texts, range=OLDEST)


OLDEST = (0.0, 150.0)  # years; an age beyond is no age
