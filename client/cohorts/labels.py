"""The label: what is predicted."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from client.cohorts.cells import Fault, clashes, refuse, spell
from client.cohorts.spelling import Words
from common.shape import names_of
from common.toml import Declared

POSITIVE, NEGATIVE, LEFT_OUT = "positive", "negative", "left out"


class Label(Declared):
    """The section ``[cohort.label]``, or one of ``[cohort.labels.NAME]``.

    Attributes
    ----------
    column : str
    positive : tuple of str
        Spellings of class 1.
    negative : tuple of str, optional
        Spellings of class 0. Without it, every cell that is neither blank nor declared otherwise.
    classes : dict of str to tuple of str
        Instead of both: the spellings of each class, in their order. A class that the site never sees has none.
    leave_out : tuple of str
        Spellings of "not known"; such encounters are left out of the cohort.
    """

    column: str
    positive: Words | None = None
    negative: Words | None = None
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    leave_out: tuple[str, ...] = ()

    @field_validator("classes")
    @classmethod
    def _named(cls, classes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        names_of(list(classes), "a table of classes by name")
        return classes

    @model_validator(mode="after")
    def _agree(self) -> Label:
        faults = clashes({**self._groups(), "leave_out": self.leave_out})
        if self.positive is None and not self.classes:
            faults.append("positive is missing; give its spellings, or those of each of several classes")
        if self.classes and (self.positive or self.negative):
            faults.append("positive and negative are not read beside classes; remove them")
        refuse("Label", faults)
        return self

    def _groups(self) -> dict[str, tuple[str, ...]]:
        """Give the spellings of each class."""
        return self.classes or {POSITIVE: self.positive or (), NEGATIVE: self.negative or ()}

    def numbers(self) -> dict[str, int]:
        """Give the number of each class, from 0, and after them that of `LEFT_OUT`."""
        names = [*self.classes] or [NEGATIVE, POSITIVE]
        return {name: number for number, name in enumerate([*names, LEFT_OUT])}

    def declared(self) -> list[str]:
        """Give the classes that the site has encounters of, as it says."""
        return [name for name, words in self.classes.items() if words] if self.classes else [POSITIVE, NEGATIVE]

    def read(self, cell: str) -> str | Fault:
        """Give the class that a cell stands for, or `LEFT_OUT`."""
        for meaning, words in {**self._groups(), LEFT_OUT: self.leave_out}.items():
            if cell in map(spell, words):
                return meaning
        known = "a class" if self.classes else "positive, negative"
        if cell == "":  # never taken for a negative unless the file says so
            remedy = f'add "" to cohort.label.leave_out, or to {known.split(", ")[-1]} if that is what it means'
            return Fault("a blank label", remedy)
        if self.negative is None and not self.classes:
            return NEGATIVE
        remedy = f"add its spelling to {known} or leave_out of cohort.label"
        return Fault("a label that the site file does not declare", remedy)
