"""Concept sets of a definition, resolved against what the records know of their codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.extraction.builtin_sets import builtin_sets
from client.extraction.codes import plain, written
from client.extraction.definition import Definition, SetRule
from client.records.contract import Codebook, Coding, Expansion, Records
from client.records.systems import HIERARCHICAL
from common.errors import ConfigError, Problems

_LISTED = 20

BUILTIN = "builtin "  # before the code of a shipped finding, as the name of its set: no set of a file has a space


@dataclass(frozen=True)
class Codes:
    """Codes, and codes with all that begins with them; both as `plain` spells them."""

    exact: frozenset[Coding] = frozenset()
    prefixes: frozenset[Coding] = frozenset()


@dataclass(frozen=True)
class ConceptSet:
    """A set that is resolved.

    Attributes
    ----------
    taken, without : Codes
    codings : frozenset of Coding
        What is taken, but for prefixes, as definition and records spell it.
    """

    taken: Codes
    without: Codes
    codings: frozenset[Coding]


def resolve(definition: Definition, records: Records) -> dict[str, ConceptSet]:
    """Resolve every set that the definition uses; the shipped set of a finding is named `BUILTIN` and its code.

    Raises
    ------
    ConfigError
        Lists the codes that the records' vocabulary does not have, with the name of their set; or what is made of the
        label's own codes.
    """
    rules = {name: definition.sets[name] for _, name in definition.used_sets()}
    rules |= {f"{BUILTIN}{code}": SetRule(builtin=(code,)) for code in definition.built_in_findings()}
    asked = (_taken(rule) | _without(rule) for rule in rules.values())
    expansion = records.expand(frozenset[Coding]().union(*asked))
    problems = Problems("sets")
    resolved = {}
    for name, rule in rules.items():
        _check_known(name, rule, expansion, records, problems)
        taken = _codes(_taken(rule), rule.descendants, expansion)
        below = (expansion.descendants.get(coding, frozenset()) for coding in _taken(rule) if rule.descendants)
        codings = frozenset(_taken(rule)).union(*below)
        resolved[name] = ConceptSet(taken, _codes(_without(rule), True, expansion), codings)
    problems.raise_if_any(ConfigError)
    _refuse_leaks(definition, resolved)
    _tell_flat(rules.values(), expansion, records)
    return resolved


def wanted(sets: Mapping[str, ConceptSet], all_codes: bool) -> frozenset[Coding] | None:
    """Give the codes whose events are needed, None for all.

    Records without a hierarchy of ICD give events of all its codes, whatever is wanted, as a code's beginning counts.
    """
    return None if all_codes else frozenset[Coding]().union(*(found.codings for found in sets.values()))


class Matcher:
    """Which entries of a codebook are in which set; each entry is looked at once.

    Parameters
    ----------
    sets : mapping of str to ConceptSet
        S of them; a set's number is its place.
    """

    def __init__(self, sets: Mapping[str, ConceptSet], codebook: Codebook) -> None:
        self.names = tuple(sets)
        self._sets, self._codebook = tuple(sets.values()), codebook
        self._seen = 0
        self._member = np.zeros((len(self._sets), 1024), dtype=np.bool_)
        self._exact = _index(found.taken.exact for found in self._sets)
        self._prefixes = _index(found.taken.prefixes for found in self._sets)
        self._not = _index(found.without.exact for found in self._sets)
        self._not_below = _index(found.without.prefixes for found in self._sets)

    def member(self) -> NDArray[np.bool_]:
        """Say for each set and entry whether it is in it, bool (S, at least as many as there are entries)."""
        entries = self._codebook.entries
        while len(entries) > self._member.shape[1]:
            self._member = np.concatenate([self._member, np.zeros_like(self._member)], axis=1)
        for number in range(self._seen, len(entries)):
            for place in self.sets_of(entries[number].codings):
                self._member[place, number] = True
        self._seen = len(entries)
        return self._member

    def sets_of(self, codings: Iterable[Coding]) -> set[int]:
        """Give the numbers of the sets that an entry with these codings is in."""
        found, left_out = set[int](), set[int]()
        for coding in map(plain, codings):
            found |= self._exact.get(coding, set())
            left_out |= self._not.get(coding, set())
            if coding.system in HIERARCHICAL:
                for length in range(1, len(coding.code) + 1):
                    head = Coding(coding.system, coding.code[:length])
                    found |= self._prefixes.get(head, set())
                    left_out |= self._not_below.get(head, set())
        return found - left_out


def _index(groups: Iterable[Iterable[Coding]]) -> dict[Coding, set[int]]:
    index: dict[Coding, set[int]] = {}
    for number, codings in enumerate(groups):
        for coding in codings:
            index.setdefault(coding, set()).add(number)
    return index


def _codes(codings: Iterable[Coding], below: bool, expansion: Expansion) -> Codes:
    """Give codes and, if asked, what lies below them: by the records' hierarchy, or by an ICD code's beginning."""
    exact, prefixes = set[Coding](), set[Coding]()
    for coding in codings:
        exact.add(plain(coding))
        if below:
            exact.update(map(plain, expansion.descendants.get(coding, ())))
            if coding.system in HIERARCHICAL and coding.system in expansion.flat:
                prefixes.add(plain(coding))
    return Codes(frozenset(exact), frozenset(prefixes))


def _taken(rule: SetRule) -> set[Coding]:
    """Give the codes of a set, its own and shipped ones; the site's own `without` outranks what is shipped."""
    return {*rule.codes, *(coding for name in rule.builtin for coding in builtin_sets()[name].codings)}


def _without(rule: SetRule) -> set[Coding]:
    shipped = (coding for name in rule.builtin for coding in builtin_sets()[name].without)
    return {*rule.without, *(coding for coding in shipped if coding not in _taken(rule))}


def _refuse_leaks(definition: Definition, resolved: Mapping[str, ConceptSet]) -> None:
    """Refuse findings and grades whose set has a code of the label's; shipped findings do without it (`Gathered`)."""
    matcher, label = Matcher(resolved, Codebook()), definition.label.set
    codings = frozenset[Coding]().union(*(found.codings for found in resolved.values()))
    shared: dict[str, Coding] = {}
    for coding in sorted(codings, reverse=True):  # so that the first of a set's is what is named
        among = {matcher.names[place] for place in matcher.sets_of((coding,))}
        shared |= dict.fromkeys(among if label in among else (), coding)
    problems = Problems("sets")
    for key, name in definition.used_sets():
        if name in shared and name != label and not key.startswith("index."):
            problems.add(
                f'{key}: the set "{name}" and the label\'s set "{label}" both have "{written(shared[name])}"; what is '
                f"predicted cannot be a finding: take it out by sets.{name}.without, or leave the finding out"
            )
    problems.raise_if_any(ConfigError)


def _check_known(name: str, rule: SetRule, expansion: Expansion, records: Records, problems: Problems) -> None:
    """Refuse codes of the definition that the records do not know; of shipped sets, count them."""
    unknown = sorted({*rule.codes, *rule.without} & expansion.unknown)
    if unknown and rule.missing_codes == "error":
        more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        listed = ", ".join(f'"{written(coding)}"' for coding in unknown[:_LISTED])
        remedy = f'correct them, or say sets.{name}.missing_codes = "leave out"'
        problems.add(f"{name}: the records' vocabulary does not have {listed}{more}; {remedy}")
    else:
        records.account.add(f"codes of the set {name} that the records' vocabulary lacks: left out", len(unknown))
    shipped = (_taken(rule) | _without(rule)) - {*rule.codes, *rule.without}
    shipped &= expansion.unknown
    records.account.add("codes of built-in sets that the records' vocabulary lacks: left out", len(shipped))


def _tell_flat(rules: Iterable[SetRule], expansion: Expansion, records: Records) -> None:
    """Count the codes whose descendants are asked of records that have no hierarchy for them."""
    asked = {coding for rule in rules if rule.descendants for coding in _taken(rule)}
    for system in sorted(expansion.flat):
        number = sum(coding.system == system for coding in asked)
        if system in HIERARCHICAL:
            records.account.add(f"{system} codes, no hierarchy in the records: taken with all that begin so", number)
        else:
            records.account.add(f"{system} codes, no hierarchy in the records: stand for themselves alone", number)
