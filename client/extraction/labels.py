"""The label in a definition: what is predicted, and when it became known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from client.cohorts.cells import refuse
from client.extraction.answers import plain_answer
from client.extraction.measures import Threshold
from common.toml import Declared

_Answers = Annotated[tuple[str, ...], Field(min_length=1)]


class LabelRule(Declared):
    """The section ``[label]``.

    Attributes
    ----------
    set : str
        Its events decide: by their answer, by their number, or by being there.
    positive, negative : tuple of str, optional
        Answers, as text or as "SYSTEM code".
    above, below, unit, units, range
        A number's; positive above, or below, negative otherwise.
    otherwise : {"negative", "leave out"}, optional
        An encounter without such an event.
    """

    set: str
    positive: _Answers | None = None
    negative: _Answers | None = None
    above: float | None = None
    below: float | None = None
    unit: str | None = None
    units: dict[str, str] = Field(default_factory=dict)
    range: tuple[float, float] | None = None
    otherwise: Literal["negative", "leave out"] | None = None

    @model_validator(mode="after")
    def _agree(self) -> LabelRule:
        answers, number = self.by_answers, self.by_number
        faults = []
        if (self.positive is None) != (self.negative is None):
            faults.append("positive and negative go together; list the answers of both")
        if answers and number:
            faults.append("either answers (positive, negative) or a number (above, below) decides, not both")
        if number and self.unit is None:
            faults.append("unit is needed with above or below")
        if not number and {"unit", "units", "range"} & self.model_fields_set:
            faults.append("unit, units and range are read only with above or below; remove them")
        both = {*map(plain_answer, self.positive or ())} & {*map(plain_answer, self.negative or ())}
        faults += [f'"{answer}" is both positive and negative' for answer in sorted(both)]
        refuse("LabelRule", faults)
        self.threshold()
        return self

    @property
    def by_answers(self) -> bool:
        """Whether answers decide."""
        return self.positive is not None or self.negative is not None

    @property
    def by_number(self) -> bool:
        """Whether a number decides."""
        return self.above is not None or self.below is not None

    @property
    def leaves_out(self) -> bool:
        """Whether an encounter without an event that decides is left out; otherwise it is negative."""
        if self.otherwise is None:
            return self.by_answers or self.by_number
        return self.otherwise == "leave out"

    def threshold(self) -> Threshold | None:
        """Give the number that decides, if one does."""
        if not self.by_number or self.unit is None:
            return None
        return Threshold(
            set=self.set, unit=self.unit, units=self.units, range=self.range, above=self.above, below=self.below
        )
