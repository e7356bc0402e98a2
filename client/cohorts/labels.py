"""The label: what is predicted."""

from __future__ import annotations

from pydantic import model_validator

from client.cohorts.cells import Fault, clashes, refuse, spell
from client.cohorts.spelling import Words
from common.toml import Declared

POSITIVE, NEGATIVE, LEFT_OUT = "positive", "negative", "left out"
NUMBERS = {NEGATIVE: 0, POSITIVE: 1, LEFT_OUT: 2}


class Label(Declared):
    """The section ``[cohort.label]``.

    Attributes
    ----------
    column : str
    positive : tuple of str
        Spellings of class 1.
    negative : tuple of str, optional
        Spellings of class 0. Without it, every cell that is neither blank nor declared otherwise.
    leave_out : tuple of str
        Spellings of "not known"; such encounters are left out of the cohort.
    """

    column: str
    positive: Words
    negative: Words | None = None
    leave_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> Label:
        groups = {"positive": self.positive, "negative": self.negative or (), "leave_out": self.leave_out}
        refuse("Label", clashes(groups))
        return self

    def read(self, cell: str) -> str | Fault:
        """Give the class that a cell stands for, or `LEFT_OUT`."""
        groups = {POSITIVE: self.positive, NEGATIVE: self.negative or (), LEFT_OUT: self.leave_out}
        for meaning, words in groups.items():
            if cell in map(spell, words):
                return meaning
        if cell == "":  # never taken for a negative unless the file says so
            return Fault("a blank label", 'add "" to cohort.label.leave_out, or to negative if that is what it means')
        if self.negative is None:
            return NEGATIVE
        remedy = "add its spelling to positive, negative or leave_out of cohort.label"
        return Fault("a label that the site file does not declare", remedy)
