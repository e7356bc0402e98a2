"""How a table spells present, absent and unknown."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from client.cohorts.cells import Fault, clashes, refuse, spell
from common.concepts import ABSENT, PRESENT, UNKNOWN
from common.toml import Declared

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Spelling(Declared):
    """The cells that stand for each value of a finding; every other cell is an error."""

    present: Words
    absent: Words
    unknown: tuple[str, ...] = ()

    ignores_case: ClassVar[bool] = False

    @model_validator(mode="after")
    def _agree(self) -> Spelling:
        groups = {"present": self.present, "absent": self.absent, "unknown": self.unknown}
        refuse("Spelling", clashes(groups, self.ignores_case))
        return self

    def meanings(self) -> dict[str, str]:
        """Give the value that each cell stands for."""
        groups = {PRESENT: self.present, ABSENT: self.absent, UNKNOWN: self.unknown}
        return {self._key(word): value for value, words in groups.items() for word in words}

    def read(self, cell: str) -> str | Fault:
        """Give the value, P, A or M, that a cell stands for."""
        value = self.meanings().get(self._key(cell))
        return self.fault if value is None else value

    @property
    def fault(self) -> Fault:
        """What is said of any other cell."""
        words = [f'"{word}"' if word else "blank" for word in (*self.present, *self.absent, *self.unknown)]
        remedy = f"expected {', '.join(words)}; correct the cells, or declare them in cohort.findings.spelling"
        return Fault("a value outside the spelling", remedy)

    def _key(self, word: str) -> str:
        return spell(word).casefold() if self.ignores_case else spell(word)


class NamedSpelling(Spelling):
    """A spelling that a site file names instead of listing it."""

    ignores_case: ClassVar[bool] = True


NAMED = {
    "P/A/M": NamedSpelling(present=("P",), absent=("A",), unknown=("M",)),
    "1/0/blank": NamedSpelling(present=("1",), absent=("0",), unknown=("",)),
    "true/false/null": NamedSpelling(present=("true",), absent=("false",), unknown=("", "null")),
    "yes/no/blank": NamedSpelling(present=("yes",), absent=("no",), unknown=("",)),
}

OTHERS = "others"  # every column that the site file does not name elsewhere


class Findings(Declared):
    """The section ``[cohort.findings]``.

    Attributes
    ----------
    spelling : Spelling
    columns : dict of str to str, or "others"
        Concept code of each column; a list in the file means that the columns are named by their codes.
    ignore : tuple of str
        Columns that "others" leaves alone.
    """

    spelling: Spelling
    columns: dict[str, str] | str
    ignore: tuple[str, ...] = ()

    @field_validator("spelling", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in NAMED:
                names = ", ".join(f'"{name}"' for name in NAMED)
                raise ValueError(f"{value!r} is not a spelling; expected one of {names}, or a table of your own")
            return NAMED[value]
        return value

    @field_validator("columns", mode="plain")
    @classmethod
    def _column_codes(cls, value: Any) -> dict[str, str] | str:
        if value == OTHERS:
            return OTHERS
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            if len(set(value)) < len(value):
                twice = next(name for name in value if value.count(name) > 1)
                raise ValueError(f'names the column "{twice}" twice; name it once')
            value = {name: name for name in value}
        if isinstance(value, dict) and value and all(isinstance(code, str) for code in value.values()):
            return value
        raise ValueError('must be a list of columns, a table of column = "concept code", or "others"')

    @model_validator(mode="after")
    def _agree(self) -> Findings:
        needless = 'is read only with columns = "others"; remove it'
        refuse("Findings", [f"ignore {needless}"] if self.ignore and self.columns != OTHERS else [])
        return self

    def read(self, cell: str) -> str | Fault:
        """Give the value, P, A or M, that a cell stands for."""
        return self.spelling.read(cell)
