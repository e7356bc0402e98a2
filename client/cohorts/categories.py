"""A column of categories, such as an age group: many spellings to few values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from client.cohorts.cells import Fault, clashes, refuse, spell
from common.concepts import UNKNOWN
from common.toml import Declared


class Category(Declared):
    """A section ``[cohort.categories.CODE]``.

    Attributes
    ----------
    column : str
    values : dict of str to str
        Name of the value for each spelling; a list in the file means that values are spelled as they are named.
    unknown : tuple of str
        Spellings of "unknown"; the blank cell, where the file does not say.
    texts : dict of str to str
        The site's own sentence for a value.
    """

    column: str
    values: Annotated[dict[str, str], Field(min_length=1)]
    unknown: tuple[str, ...] = ("",)
    texts: dict[str, str] = Field(default_factory=dict)

    @field_validator("values", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            if len(set(value)) < len(value):
                raise ValueError("names a value twice; name it once")
            return {name: name for name in value}
        return value

    @model_validator(mode="after")
    def _agree(self) -> Category:
        groups = {"values": tuple(self.values)}
        if "unknown" in self.model_fields_set:  # the default gives way to a value that is spelled blank
            groups["unknown"] = self.unknown
        refuse("Category", [*clashes(groups), *name_faults(self.names, self.texts)])
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values, in the order of the file."""
        return tuple(dict.fromkeys(self.values.values()))

    def read(self, cell: str) -> str | Fault:
        """Give the name of the value that a cell stands for."""
        meanings = dict.fromkeys(map(spell, self.unknown), UNKNOWN) | {spell(s): n for s, n in self.values.items()}
        remedy = "correct the cells, or add their spelling to `values` or `unknown` of this category"
        return meanings.get(cell, Fault("a value that the category does not declare", remedy))


def name_faults(names: tuple[str, ...], texts: dict[str, str]) -> list[str]:
    """Say what is wrong with the names of a category's values, or a number's grades, and their sentences."""
    faults = []
    if UNKNOWN in names:
        faults.append(f'"{UNKNOWN}" is the name of "unknown"; give the value another name, or list it as unknown')
    if any(not name.strip() for name in names):
        faults.append("a value has no name")
    stray = [name for name in texts if name not in (*names, UNKNOWN)]
    if stray:
        faults.append(f'texts gives a sentence for "{stray[0]}", which is no value here; expected {", ".join(names)}')
    return faults + [f'the text of "{name}" is blank' for name, text in texts.items() if not text.strip()]
