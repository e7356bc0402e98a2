"""Codes of a MEDS data set, one text each: their system by their prefix, their words, what lies below them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from client.records.contract import Coding, Expansion
from client.records.meds_files import TEXT, TEXTS, check_types, read_small
from client.records.systems import BY_NAME, HIERARCHICAL
from common.errors import CohortError

SEPARATORS = ("//", "/")
_TYPES = {"code": TEXT, "description": TEXT, "parent_codes": TEXTS}


def read_code(code: str, systems: Mapping[str, str]) -> Coding:
    """Give a code's system and the code in it: "ICD10CM//R50.9" and "ICD10CM/R50.9" are R50.9 of ICD10CM.

    Parameters
    ----------
    systems : mapping of str to str
        Names of systems by the site's own prefixes, which may hold separators; the longest that fits counts.

    Returns
    -------
    Coding
        Without a system where the prefix names none, and then of the whole text.
    """
    for prefix in sorted(systems, key=len, reverse=True):
        for separator in SEPARATORS:
            if code.startswith(prefix + separator):
                return Coding(systems[prefix], code[len(prefix + separator) :])
    separator = SEPARATORS[0] if SEPARATORS[0] in code else SEPARATORS[1]
    prefix, _, rest = code.partition(separator)
    system = BY_NAME.get(prefix.casefold())
    return Coding(system, rest) if system and rest else Coding("", code)


class Codes:
    """What ``metadata/codes.parquet`` says of the codes; the file may be missing.

    Raises
    ------
    CohortError
        The file cannot be read, has no column "code", or columns of other types.
    """

    def __init__(self, path: Path, systems: Mapping[str, str]) -> None:
        self.texts: dict[str, str] = {}
        self._children: dict[Coding, set[Coding]] = {}
        if not path.exists():
            return
        table = read_small(path)
        if "code" not in table.column_names:
            raise CohortError(f'{path.name}: no column "code", as MEDS wants it')
        check_types(table.schema, _TYPES, path.name)
        rows = table.select([name for name in ("code", "description", "parent_codes") if name in table.column_names])
        for row in rows.to_pylist():
            self._take(row["code"], row.get("description"), row.get("parent_codes"), systems)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Give what lies below each code by ``parent_codes``; see `contract.Expansion`.

        The file lists what occurs, not a vocabulary, so that no code is unknown. ICD counts as flat whatever the file
        says, as its codes tell what lies below them.
        """
        layered = {coding.system for coding in self._children} - HIERARCHICAL
        flat = frozenset(coding.system for coding in codings if coding.system not in layered)
        return Expansion({coding: self._below(coding) for coding in codings}, flat=flat)

    def _take(self, code: str | None, text: str | None, parents: list[str] | None, systems: Mapping[str, str]) -> None:
        if code is None:
            return
        if text:
            self.texts[code] = text
        for parent in parents or ():
            self._children.setdefault(read_code(parent, systems), set()).add(read_code(code, systems))

    def _below(self, coding: Coding) -> frozenset[Coding]:
        found, ahead = {coding}, [coding]
        while ahead:
            new = self._children.get(ahead.pop(), set()) - found
            found |= new
            ahead += new
        return frozenset(found)
