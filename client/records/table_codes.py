"""The codes of events in tables: "SYSTEM code" in one column, or the system in a column of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.records.contract import Account, Codebook, Coding
from client.records.systems import BY_NAME, BY_OMOP, BY_URL, HIERARCHICAL
from client.records.table_cells import texts

NO_CODE = "events without a code: left out"
NO_SYSTEM = "events whose code system is not stated: only seen as local codes"

_LOCAL = "local:"
_BETWEEN = "\x1f"  # a mark of control: where a text has it, it is a space


class CodeReader:
    """Gives events their entries of the codebook.

    Parameters
    ----------
    systems : mapping of str to str
        Code system by the files' own name for it.
    wanted : frozenset of Coding or None
        Events of other codes are left away; those of ICD stay, as their codes stand for what lies below them.
    """

    def __init__(
        self, codebook: Codebook, account: Account, systems: Mapping[str, str], wanted: frozenset[Coding] | None
    ) -> None:
        self._codebook, self._account, self._systems, self._wanted = codebook, account, systems, wanted

    def read(self, cells: Mapping[str, Any]) -> NDArray[np.int32]:
        """Give the entry of each event, int32 (N,); -1 where it has no code, or one that is not wanted."""
        rows = len(cells["code"])
        written = (texts(cells.get(name), rows).fill_null("") for name in ("code", "system", "text"))
        parts = [pc.replace_substring(words, _BETWEEN, " ") for words in written]
        encoded = pc.binary_join_element_wise(*parts, _BETWEEN).dictionary_encode()
        place = encoded.indices.to_numpy(zero_copy_only=False)
        count = np.bincount(place, minlength=len(encoded.dictionary))
        numbers = [
            self._entry(joined, int(times), "system" in cells)
            for joined, times in zip(encoded.dictionary.to_pylist(), count, strict=True)
        ]
        entries: NDArray[np.int32] = np.array(numbers, dtype=np.int32)[place]
        return entries

    def _entry(self, joined: str, times: int, two_columns: bool) -> int:
        code, system, text = joined.split(_BETWEEN)
        if not code:
            self._account.add(NO_CODE, times)
            return -1
        coding = self._coding(system, code) if two_columns else self._written(code)
        if not coding.system:
            self._account.add(NO_SYSTEM, times)
        if self._wanted is not None and coding not in self._wanted and coding.system not in HIERARCHICAL:
            return -1
        return self._codebook.number([coding], text)

    def _written(self, code: str) -> Coding:
        """Read "SYSTEM code"; without a system that is known, named in the section or local, none is stated."""
        system, _, rest = code.partition(" ")
        if rest.strip() and (self._name(system) is not None or system.startswith(_LOCAL)):
            return self._coding(system.removeprefix(_LOCAL), rest.strip())
        return Coding("", code)

    def _coding(self, system: str, code: str) -> Coding:
        return Coding(self._name(system) or system, code)

    def _name(self, system: str) -> str | None:
        """Give a system's name, if it is a known system or one that the section names."""
        given = self._systems.get(system, system)
        known = BY_NAME.get(given.casefold()) or BY_OMOP.get(given) or BY_URL.get(given)
        return known or (given if system in self._systems else None)
