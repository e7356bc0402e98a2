"""What an event of an OMOP database says, besides its code: a number with its unit, an answer, or that it is not so.

``range_low`` and ``range_high`` are not read: they say what is usual, which a definition's own limits say instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.records.answers import fold, means_absent
from client.records.contract import Account
from client.records.database_cells import finite, whole
from client.records.omop_vocabulary import Concept, Vocabulary
from client.records.table_cells import numbers, texts

BOUND = "numbers with a comparator such as <: taken as none"
RULED_OUT = ("ruled out", "rule out", "refuted", "excluded", "SNOMED 723511001", "SNOMED 410594000")
_OPERATORS = {4171756: "<", 4171754: "<=", 4172704: ">", 4171755: ">="}  # the domain "Meas Value Operator"
_EQUALS = (0, 4172703)

Cells: TypeAlias = Mapping[str, Any]  # Arrow arrays (N,) by the names of `omop_tables.EventTable`
Ids: TypeAlias = NDArray[np.int64]
_Mask: TypeAlias = NDArray[np.bool_]


class Said(NamedTuple):
    """What N events say: Arrow arrays (N,) and, for `absent`, a bool array (N,)."""

    absent: _Mask
    number: Any
    unit: Any
    answer: Any


@dataclass
class ValueReader:
    """Reads the columns of values of one database.

    Attributes
    ----------
    absent : tuple of (str or int)
        Answers that mean that it is not so: "SYSTEM code", a text, or a concept's id.
    """

    vocabulary: Vocabulary
    account: Account
    absent: tuple[str | int, ...]

    def __post_init__(self) -> None:
        self._no = fold(str(one) for one in self.absent if isinstance(one, str))
        self._no_ids = frozenset(one for one in self.absent if isinstance(one, int))

    def read(self, cells: Cells, where: str) -> Said:
        """Give what events say.

        Raises
        ------
        CohortError
            A number is none; `where` names the table.
        """
        rows = len(cells["person"])
        number, bound = self._numbers(cells, rows, where)
        unit = self._units(cells, rows, where)
        answer, absent = self._answers(cells, _bounds(bound, number, unit), where)
        number = pc.if_else(pa.array(bound != ""), pa.scalar(None, pa.float64()), number)
        unit = pc.if_else(pc.is_valid(number), unit, pa.scalar(None, pa.string()))
        return Said(absent | self._negated(cells, rows, where), number, unit, answer)

    def _numbers(self, cells: Cells, rows: int, where: str) -> tuple[Any, NDArray[np.str_]]:
        """Give the number of each row, and the comparator before it, "" for none."""
        number = finite(numbers(cells.get("value_as_number"), rows, where), self.account)
        operator = ids_of(cells, "operator_concept_id", rows, where)
        bound = np.array(_each(operator, lambda one: "" if one in _EQUALS else _OPERATORS.get(one, "about ")), np.str_)
        bound[number.is_null().to_numpy(zero_copy_only=False)] = ""
        self.account.add(BOUND, int((bound != "").sum()))
        return number, bound

    def _units(self, cells: Cells, rows: int, where: str) -> Any:
        """Give the code of UCUM where the concept has one, else the source's word, else the concept's."""
        concept, known = self._concepts(cells, "unit_concept_id", rows, where)
        ucum = _each(concept, lambda one: found.coding.code if (found := known[one]) and _is_ucum(found) else None)
        names = _each(concept, lambda one: found.name if (found := known[one]) else None)
        source = texts(cells.get("unit_source_value"), rows)
        return pc.coalesce(pa.array(ucum, pa.string()), source, pa.array(names, pa.string()))

    def _answers(self, cells: Cells, bounds: Any, where: str) -> tuple[Any, _Mask]:
        """Give what each row answers, and whether this says that it is not so."""
        rows = len(bounds)
        concept, known = self._concepts(cells, "value_as_concept_id", rows, where)
        coded = _each(concept, lambda one: " ".join(found.coding) if (found := known[one]) else None)
        named, said = pa.array(coded, pa.string()), texts(cells.get("value_as_string"), rows)
        source = texts(cells.get("value_source_value"), rows)
        if "value_as_number" in cells:  # the source's words for the number, where there is one
            source = pc.if_else(pc.is_valid(cells["value_as_number"]), pa.scalar(None, pa.string()), source)
        words = pc.coalesce(said, bounds, source)
        no = _mask(_each(concept, lambda one: self._means_no(one, known[one], self._no)))
        return pc.coalesce(named, words), no | (_words_in(words, self._no) & (concept == 0))

    def _negated(self, cells: Cells, rows: int, where: str) -> _Mask:
        """Say where a condition's status or an observation's qualifier says that it is not so."""
        concept, known = self._concepts(cells, "qualifier", rows, where)
        no = self._no | fold(RULED_OUT)
        words = _words_in(texts(cells.get("qualifier_value"), rows), no) & (concept == 0)
        coded = _mask(_each(concept, lambda one: self._means_no(one, known[one], no)))
        found: _Mask = words | coded
        return found

    def _means_no(self, number: int, concept: Concept | None, no: frozenset[str]) -> bool:
        said = () if concept is None else (" ".join(concept.coding), concept.name)
        return number in self._no_ids or any(means_absent(words, no) for words in said)

    def _concepts(self, cells: Cells, name: str, rows: int, where: str) -> tuple[Ids, Mapping[int, Concept | None]]:
        ids = ids_of(cells, name, rows, where)
        return ids, self.vocabulary.concepts(np.unique(ids).tolist())


def ids_of(cells: Cells, name: str, rows: int, where: str) -> Ids:
    """Give a column of concepts, int64 (N,); 0 where it is null or lacks."""
    ids: Ids = whole(cells[name], f"{where}, {name}") if name in cells else np.zeros(rows, dtype=np.int64)
    return ids


def _bounds(bound: NDArray[np.str_], number: Any, unit: Any) -> Any:
    """Give "<5 mg" where a number has a comparator, else null; text (N,)."""
    answers: list[str | None] = [None] * len(bound)
    for row in np.flatnonzero(bound != "").tolist():
        answers[row] = f"{bound[row]}{number[row].as_py():g} {unit[row].as_py() or ''}".strip()
    return pa.array(answers, pa.string())


def _is_ucum(concept: Concept) -> bool:
    return concept.coding.system == "UCUM"


def _words_in(words: Any, no: frozenset[str]) -> _Mask:
    encoded = words.fill_null("").dictionary_encode()
    says = _mask([means_absent(word, no) for word in encoded.dictionary.to_pylist()])
    found: _Mask = says[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _mask(says: list[bool]) -> _Mask:
    return np.array(says, dtype=np.bool_)


def _each(ids: Ids, give: Callable[[int], Any]) -> list[Any]:
    """Give what a function gives for each id; it is asked once for each different one."""
    different, place = np.unique(ids, return_inverse=True)
    answers = [give(one) for one in different.tolist()]
    return [answers[at] for at in place.tolist()]
