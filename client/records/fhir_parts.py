"""The parts of a FHIR R4 resource that are read: references, codes, values and times, whatever the resource.

What is of another type than R4 says raises `MalformedError`, whose text names keys and never values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from client.records.contract import Coding
from client.records.systems import BY_URL
from common.errors import CohortError

Part = dict[str, Any]

UCUM = ("http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8")
_NOTHING: Part = {}
_REFERENCE = re.compile(r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z]\w+)/(?P<id>[^/?#]+)(?:/_history/[^/?#]+)?")


class MalformedError(Exception):
    """A resource is not of FHIR R4."""


def part(holder: Part, key: str) -> Part:
    """Give an object within an object; empty where there is none."""
    value = holder.get(key, _NOTHING)
    if type(value) is not dict:
        raise MalformedError(f'"{key}" is no object, as FHIR R4 wants it:')
    return value


def parts(holder: Part, key: str) -> list[Part]:
    """Give the objects of a list within an object; empty where there is none."""
    values = holder.get(key, [])
    if type(values) is not list or any(type(value) is not dict for value in values):
        raise MalformedError(f'"{key}" is no list of objects, as FHIR R4 wants it:')
    return values


def word(holder: Part, key: str) -> str | None:
    """Give a text within an object; None where there is none or it is blank."""
    value = holder.get(key)
    if value is not None and type(value) is not str:
        raise MalformedError(f'"{key}" is no text, as FHIR R4 wants it:')
    return value or None


class References:
    """Ids that references name, as long as all are of one server."""

    def __init__(self) -> None:
        self._base: str | None = None

    def read(self, holder: Part, key: str, kind: str) -> str | None:
        """Give the id of the resource of the type `kind` that a reference names; None where it names none.

        Raises
        ------
        CohortError
            References name two servers, where one id may be two patients.
        """
        text = word(part(holder, key), "reference")
        if text is None:
            return None
        if text.startswith("urn:uuid:"):
            return text.removeprefix("urn:uuid:")
        match = _REFERENCE.fullmatch(text)
        if match is None or match["type"] != kind:  # within the resource, a search, or of another type
            return None
        if match["base"] is not None and match["base"] != self._base:
            if self._base is not None:
                raise CohortError("references name resources of two servers; read the export of each by itself")
            self._base = match["base"]
        return match["id"]


def concept(holder: Part, systems: Mapping[str, str]) -> tuple[Coding, ...]:
    """Give the codings of a CodeableConcept that have a code.

    Parameters
    ----------
    systems : mapping of str to str
        The site's own names of code systems, by what the export calls them; else those of `systems`, or as they are.
    """
    found = []
    for coding in parts(holder, "coding"):
        system, code = word(coding, "system") or "", word(coding, "code")
        if code is not None:
            found.append(Coding(systems.get(system) or BY_URL.get(system, system), code))
    return tuple(found)


def wording(holder: Part) -> str:
    """Give a CodeableConcept's words: of its code system before those that somebody typed."""
    displays = (word(coding, "display") for coding in parts(holder, "coding"))
    return next((display for display in displays if display), None) or word(holder, "text") or ""


def unit(quantity: Part) -> str | None:
    """Give the unit of a Quantity, in UCUM where it says so."""
    if word(quantity, "system") in UCUM and word(quantity, "code"):
        return word(quantity, "code")
    return word(quantity, "unit") or word(quantity, "code")


def moment(holder: Part, stem: str, whole: bool = False) -> tuple[str | None, str | None]:
    """Give the first and the last time of ``stemDateTime``, ``stemInstant`` or ``stemPeriod``, as written.

    Parameters
    ----------
    whole : bool
        Of a period, take its end for the last time; else only its start is taken.
    """
    text = word(holder, f"{stem}DateTime") or word(holder, f"{stem}Instant")
    if text is not None:
        return text, None
    period = part(holder, f"{stem}Period")
    start, end = word(period, "start"), word(period, "end")
    return start or end, end if start and whole else None
