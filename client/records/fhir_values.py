"""What a FHIR observation says, besides its code: a number with its unit, an answer, or that it is not so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from client.records.answers import means_absent
from client.records.contract import Account, Coding
from client.records.fhir_parts import MalformedError, Part, concept, part, parts, unit, word, wording
from client.records.systems import SYSTEMS

NO_VALUE = "events whose value is said to be missing: left out"
NOT_FINITE = "numbers that are not finite: taken as none"
BOUND = "numbers with a comparator such as <: taken as none"
OTHER_VALUE = "values that are a range, a ratio, a time or samples: taken as none"
_NAMED = frozenset(system.name for system in SYSTEMS)
_VALUES = ("valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod")


class Value(NamedTuple):
    """What an observation says, besides its code."""

    absent: bool = False
    number: float | None = None
    unit: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class ValueReader:
    """Reads what observations and their components say.

    Attributes
    ----------
    absent : frozenset of str
        Answers that mean that it is not so, as `answers.fold` gives them.
    """

    account: Account
    systems: Mapping[str, str]
    absent: frozenset[str]

    def read(self, holder: Part) -> Value | None:
        """Give what an observation or a component says; None where it says that it does not know."""
        if "valueQuantity" in holder:
            return self._quantity(part(holder, "valueQuantity"))
        if "valueCodeableConcept" in holder:
            return self._answer(part(holder, "valueCodeableConcept"))
        if "valueInteger" in holder:
            return Value(number=self._number(holder["valueInteger"]))
        if "valueBoolean" in holder:
            return Value(absent=holder["valueBoolean"] is False)
        text = word(holder, "valueString")
        if text is not None:
            return Value(absent=means_absent(text, self.absent), answer=text)
        if "dataAbsentReason" in holder:
            self.account.add(NO_VALUE)
            return None
        if any(key in holder for key in _VALUES):
            self.account.add(OTHER_VALUE)
        meanings = parts(holder, "interpretation")
        return self._answer(meanings[0]) if meanings else Value()

    def _quantity(self, quantity: Part) -> Value:
        number, comparator = self._number(quantity.get("value")), word(quantity, "comparator")
        if comparator is not None and number is not None:
            self.account.add(BOUND)
            return Value(answer=f"{comparator}{number:g} {unit(quantity) or ''}".strip())
        return Value(number=number, unit=unit(quantity) if number is not None else None)

    def _number(self, value: Any) -> float | None:
        if value is None:
            return None
        if type(value) not in (int, float):
            raise MalformedError("a value is no number, as FHIR R4 wants it:")
        if math.isfinite(value):
            return float(value)
        self.account.add(NOT_FINITE)
        return None

    def _answer(self, meaning: Part) -> Value:
        codings, text = concept(meaning, self.systems), wording(meaning)
        answers = [f"{coding.system} {coding.code}" for coding in sorted(codings, key=_rank) if coding.system]
        said = [*answers, *([text] if text else [coding.code for coding in codings])]
        if not said:
            return Value()
        return Value(absent=any(means_absent(answer, self.absent) for answer in said), answer=said[0])


def _rank(coding: Coding) -> int:
    """Sort the codings of systems that every kind of records names alike before others."""
    return 0 if coding.system in _NAMED else 1
