"""Codes as a definition writes them: "SYSTEM code", such as "ICD10CM R50.9" or "local:lab GLU"."""

from __future__ import annotations

import difflib
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from client.records.contract import Coding
from client.records.systems import BY_NAME, HIERARCHICAL, SYSTEMS

LOCAL = "local:"  # before the records' own name of a system; nothing after it where they state none

_LIKE = 'expected "SYSTEM code", such as "ICD10CM R50.9", or "local:NAME code" for a system of your own'


def parse_code(text: str) -> Coding:
    """Read a code.

    Raises
    ------
    ValueError
        There is no system or no code, or the system is not known and not said to be local.
    """
    system, _, code = text.strip().partition(" ")
    code = code.strip()
    if not system or not code:
        raise ValueError(f'"{text}" is not a code; {_LIKE}')
    if system.startswith(LOCAL):
        return Coding(system.removeprefix(LOCAL), code)
    if system.casefold() not in BY_NAME:
        near = difflib.get_close_matches(system.casefold(), BY_NAME, n=1)
        hint = f"; did you mean {BY_NAME[near[0]]}?" if near else ""
        known = ", ".join(known.name for known in SYSTEMS)
        raise ValueError(f'"{text}": no code system {system}; expected {known} or "local:NAME"{hint}')
    return Coding(BY_NAME[system.casefold()], code)


def written(coding: Coding) -> str:
    """Give a code as a definition writes it."""
    known = coding.system.casefold() in BY_NAME
    return f"{'' if known else LOCAL}{coding.system} {coding.code}"


def plain(coding: Coding) -> Coding:
    """Give the one spelling by which codes are compared: ICD codes without their dot, in capitals."""
    if coding.system not in HIERARCHICAL:
        return coding
    return Coding(coding.system, coding.code.replace(".", "").upper())


def _parsed(text: object) -> object:
    return parse_code(text) if isinstance(text, str) else text


def _is_code(value: tuple[str, str]) -> Coding:
    return Coding(*value)


Code = Annotated[Coding, BeforeValidator(_parsed), AfterValidator(_is_code)]
