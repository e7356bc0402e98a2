"""The vocabulary tables of an OMOP database: what concepts mean, and what lies below a code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from client.records.contract import Account, Coding, Expansion
from client.records.database import Database
from client.records.omop_tables import VOCABULARY, table_of
from client.records.systems import BY_OMOP, HIERARCHICAL, SYSTEMS

LOCAL = "local"  # the system of codes that are no concepts, but source values
SEVERAL = "codes that map to several standard concepts, or to a concept with a value: seen under their own code only"

_OMOP = {system.name: system.omop for system in SYSTEMS}
_AT_ONCE = 1_000  # ids or codes in one query
_IN_CAPITALS = frozenset(_OMOP[name] for name in HIERARCHICAL)


class Concept(NamedTuple):
    """A row of the table ``concept``."""

    coding: Coding
    name: str


class Vocabulary:
    """The concepts of a database, read as they are asked for.

    Parameters
    ----------
    schema : str or None
        Of the vocabulary tables.
    """

    def __init__(self, database: Database, schema: str | None, account: Account) -> None:
        self._database, self._account = database, account
        self._concept, self._relationship, self._ancestor = (
            table_of(name, columns, schema) for name, columns in VOCABULARY.items()
        )
        self._known: dict[int, Concept | None] = {0: None}

    def concepts(self, ids: Iterable[int]) -> Mapping[int, Concept | None]:
        """Give concepts by id, at least those asked for; None for those that the vocabulary lacks, and for 0."""
        new = {int(number) for number in ids} - self._known.keys()
        columns = (self._concept.c[name] for name in ("concept_id", "vocabulary_id", "concept_code", "concept_name"))
        self._known |= dict.fromkeys(new)
        for number, system, code, name in self._rows(list(columns), self._concept.c.concept_id, new):
            self._known[number] = Concept(Coding(BY_OMOP.get(system, system), str(code)), name or "")
        return self._known

    def nearest(self, ids: set[int], roots: Iterable[int]) -> dict[int, int]:
        """Give for each concept the nearest of some others that it is or lies below, where there is one."""
        ancestor = self._ancestor.c
        columns = [ancestor.descendant_concept_id, ancestor.ancestor_concept_id, ancestor.min_levels_of_separation]
        wanted, found = frozenset(roots), dict[int, tuple[int, int]]()
        for below, above, levels in self._rows(columns, ancestor.descendant_concept_id, ids):
            if above in wanted:
                found[below] = min(found.get(below, (levels, above)), (levels, above))
        return {below: above for below, (_, above) in found.items()} | {own: own for own in ids if own in wanted}

    def ids(self, codings: Iterable[Coding]) -> frozenset[int]:
        """Give the concepts that have some codes."""
        return frozenset(number for _, number, exact in self._matches(codings) if exact)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Give for each code itself, the standard concept that it maps to, and all that lies below these.

        ICD codes are compared without their dot, and stand for all codes of the vocabulary that begin with them, as the
        hierarchy of OMOP holds standard concepts only. A code that maps to several concepts says more than each of
        them, so that none of them alone is the code.
        """
        own: dict[Coding, set[int]] = defaultdict(set)
        known = set[Coding]()
        for coding, number, exact in self._matches(codings):
            own[coding].add(number)
            known |= {coding} if exact else set()
        targets = self._targets(number for numbers in own.values() for number in numbers)
        tops = {c: own[c] | {targets[n] for n in own[c] if n in targets} for c in codings}
        below = self._below({number for numbers in tops.values() for number in numbers})
        found = {c: set(tops[c]).union(*(below.get(number, ()) for number in tops[c])) for c in codings}
        concepts = self.concepts({number for numbers in found.values() for number in numbers})
        descendants = {c: frozenset({c, *_codings(concepts, numbers)}) for c, numbers in found.items()}
        unknown = frozenset(c for c in codings if c not in known and c.system != LOCAL)
        systems = {c.system for c in codings if c.system not in HIERARCHICAL}
        below_some = {c.system for c in codings if len(descendants[c]) > 1}
        return Expansion(descendants, unknown, frozenset(systems - below_some))

    def _matches(self, codings: Iterable[Coding]) -> Iterator[tuple[Coding, int, bool]]:
        """Give the concepts of codes, and of what begins with an ICD code; true where it is the code itself."""
        by_system: dict[str, list[Coding]] = defaultdict(list)
        for coding in codings:
            by_system[_OMOP.get(coding.system, coding.system)].append(coding)
        for system, asked in by_system.items():
            if system in _IN_CAPITALS:
                yield from self._beginning(system, asked)
            else:
                yield from self._exact(system, asked)

    def _exact(self, system: str, asked: list[Coding]) -> Iterator[tuple[Coding, int, bool]]:
        from sqlalchemy import select

        concept = self._concept.c
        by_code = {coding.code: coding for coding in asked}
        for codes in _cut(by_code):
            matching = (concept.vocabulary_id == system) & concept.concept_code.in_(codes)
            statement = select(concept.concept_code, concept.concept_id).where(matching)
            for code, number in self._database.rows(statement, 'table "concept"'):
                if str(code) in by_code:  # some databases take capitals and small letters for the same
                    yield by_code[str(code)], int(number), True

    def _beginning(self, system: str, asked: list[Coding]) -> Iterator[tuple[Coding, int, bool]]:
        from sqlalchemy import select

        concept = self._concept.c
        spelled: dict[str, list[Coding]] = defaultdict(list)
        for coding in asked:
            spelled[_plain(coding.code)].append(coding)
        lengths = sorted({len(code) for code in spelled})
        statement = select(concept.concept_code, concept.concept_id).where(concept.vocabulary_id == system)
        for cells in self._database.stream(statement, 'table "concept"'):
            for code, number in zip(cells["concept_code"].to_pylist(), cells["concept_id"].to_pylist(), strict=True):
                plain = _plain(str(code))
                for length in lengths:
                    if length <= len(plain):
                        yield from ((c, number, length == len(plain)) for c in spelled.get(plain[:length], ()))

    def _targets(self, ids: Iterable[int]) -> dict[int, int]:
        """Give the one standard concept that each maps to; concepts that map to more are counted."""
        relation = self._relationship.c
        columns = [relation.concept_id_1, relation.concept_id_2, relation.relationship_id, relation.invalid_reason]
        found: dict[int, set[int]] = defaultdict(set)
        for own, other, kind, invalid in self._rows(columns, relation.concept_id_1, ids):
            if not invalid and kind in ("Maps to", "Maps to value"):
                found[own].add(-other if kind == "Maps to value" else other)
        self._account.add(SEVERAL, sum(len(others) > 1 for others in found.values()))
        return {own: next(iter(others)) for own, others in found.items() if len(others) == 1 and min(others) > 0}

    def _below(self, ids: Iterable[int]) -> dict[int, set[int]]:
        ancestor = self._ancestor.c
        columns = [ancestor.ancestor_concept_id, ancestor.descendant_concept_id]
        found: dict[int, set[int]] = defaultdict(set)
        for above, below in self._rows(columns, ancestor.ancestor_concept_id, ids):
            found[above].add(below)
        return found

    def _rows(self, columns: list[Any], key: Any, ids: Iterable[int]) -> Iterator[Any]:
        """Give rows whose `key` is one of some ids."""
        from sqlalchemy import select

        for some in _cut(sorted({int(number) for number in ids})):
            yield from self._database.rows(select(*columns).where(key.in_(some)), f'table "{key.table.name}"')


def is_one_of(column: Any, ids: Iterable[int]) -> Any:
    """Give the condition that a column holds one of many whole numbers, written out: drivers limit parameters."""
    from sqlalchemy import BigInteger, bindparam

    return column.in_(bindparam(None, sorted(ids), BigInteger, expanding=True, literal_execute=True))


def _codings(concepts: Mapping[int, Concept | None], ids: Iterable[int]) -> Iterator[Coding]:
    return (concept.coding for number in ids if (concept := concepts[number]) is not None)


def _plain(code: str) -> str:
    return code.replace(".", "").upper()


def _cut(values: Iterable[Any]) -> Iterator[list[Any]]:
    listed = list(values)
    return (listed[first : first + _AT_ONCE] for first in range(0, len(listed), _AT_ONCE))
