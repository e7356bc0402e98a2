"""Reads events batch by batch and remembers what they say of the encounters.

Nothing depends on the order of events, nor on how they are cut into batches.
Letters: N encounters, E events of a batch, P pairs of an event and an encounter that it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.extraction.answers import NOTHING, plain_answer
from client.extraction.definition import Definition
from client.extraction.encounters import Chosen
from client.extraction.locals import Locals
from client.extraction.measures import Threshold
from client.extraction.quantities import Quantity
from client.extraction.sets import BUILTIN, ConceptSet, Matcher
from client.extraction.state import Earliest, Readings
from client.extraction.windows import Windows
from client.records.contract import Records
from common.errors import CohortError, Problems

POSITIVE, NEGATIVE = 0, 1  # slots of the label
_INDEX = 2  # the first slot of sets that are required or excluded

NO_PATIENT = "events without a patient: left out"
NO_TIME = "events without a time: left out"
BACKWARDS = "events that end before they start: left out"
UNNAMED = "answers of the label's set that the definition does not name: left out"
ELSEWHERE = "events in an encounter's window that name another encounter: left out"
UNSAID = "findings answered by neither yes nor no: left out"
LABELS = "codes of built-in findings that are the label's, too: left out of the finding"

_Numbers = NDArray[np.int64]
_Mask = NDArray[np.bool_]


class Pairs(NamedTuple):
    """Events, each with an encounter that it belongs to; arrays (P,).

    Attributes
    ----------
    answer, unit : int64 array
        Position in `answers` and `units`, which are as the records write them, "" for none.
    number : float64 array
        NaN for none.
    """

    encounter: _Numbers
    until: _Numbers
    entry: _Numbers
    absent: _Mask
    number: NDArray[np.float64]
    answer: _Numbers
    answers: tuple[str, ...]
    unit: _Numbers
    units: tuple[str, ...]

    def take(self, kept: _Mask) -> Pairs:
        """Keep the pairs where `kept`, bool (P,), is true."""
        narrowed = {name: part[kept] for name, part in self._asdict().items() if not isinstance(part, tuple)}
        return self._replace(**narrowed)


class Gathered:
    """What events have said of the encounters so far.

    Parameters
    ----------
    sets : mapping of str to ConceptSet
    local : bool
        Whether codes in no set are remembered, too.
    """

    def __init__(
        self, definition: Definition, sets: Mapping[str, ConceptSet], chosen: Chosen, records: Records, local: bool
    ) -> None:
        self._definition, self._records, self._windows = definition, records, Windows(chosen, definition.window)
        self._matcher = Matcher(sets, records.codebook)
        self._place = {name: place for place, name in enumerate(self._matcher.names)}
        self._matched, self._nobody = False, len(chosen) == 0  # whether an event of some set was read
        self.said = Earliest(len(chosen))
        self.index_slots = {
            name: _INDEX + place for place, name in enumerate((*definition.index.require, *definition.index.exclude))
        }
        first = _INDEX + len(self.index_slots)
        self.finding_slots = {code: first + 2 * place for place, code in enumerate(definition.finding_codes())}
        self.locals = Locals(records.codebook, first + 2 * len(self.finding_slots)) if local else None
        self.readings = {code: Readings(len(chosen), rule.take) for code, rule in definition.grades.items()}
        self._finding_sets = self._sets_of_findings()
        self._quantities = {key: Quantity(rule, key) for key, rule in self._measures().items()}

    def add(self, events: pa.RecordBatch) -> None:
        """Take in one batch of events."""
        events = self._usable(events)
        entry = events["entry"].to_numpy()
        matched = self._matcher.member()[:, entry].any(axis=0)  # (E,)
        self._matched |= bool(matched.any())
        if self.locals is None:
            events = events.filter(pa.array(matched))
        for row, encounter in self._windows.pairs(events):
            pairs = _pairs(events, row, encounter)
            member = self._matcher.member()[:, pairs.entry]  # (S, P)
            self._index(pairs, member)
            self._label(pairs, member[self._place[self._definition.label.set]])
            self._findings(pairs, self._without_label(member))
            self._grades(pairs, member)
            if self.locals is not None:
                self.locals.add(self.said, pairs.take(np.logical_not(member.any(axis=0))))

    def finish(self) -> None:
        """Report what was left out.

        Raises
        ------
        CohortError
            No event is of a patient of the cohort, numbers have units that cannot be converted, or a finding is made
            of the label's own codes.
        """
        problems = Problems("events")
        for quantity in self._quantities.values():
            quantity.report(self._records.account, problems)
        if self._matched and not (self._windows.met or self._nobody):
            problems.add(
                "none with a code of some set is of a patient with an encounter in the cohort; see that encounters and "
                "events name patients alike, such as 7 or 007"
            )
        self._records.account.add(ELSEWHERE, self._windows.elsewhere)
        self._check_leaks(problems)
        problems.raise_if_any(CohortError)

    def _sets_of_findings(self) -> dict[str, str]:
        built_in = {code: f"{BUILTIN}{code}" for code in self._definition.built_in_findings()}
        return built_in | self._definition.findings.sets

    def _measures(self) -> dict[str, Any]:
        found: dict[str, Any] = {f"grades.{code}": rule for code, rule in self._definition.grades.items()}
        found |= {f"findings.numbers.{code}": rule for code, rule in self._definition.findings.numbers.items()}
        threshold = self._definition.label.threshold()
        return found | ({} if threshold is None else {"label": threshold})

    def _usable(self, events: pa.RecordBatch) -> pa.RecordBatch:
        account = self._records.account
        patient, time = events["patient"].is_valid(), events["time"].is_valid()
        account.add(NO_PATIENT, events.num_rows - pc.sum(patient, min_count=0).as_py())
        both = pc.and_(patient, time)
        account.add(NO_TIME, pc.sum(patient, min_count=0).as_py() - pc.sum(both, min_count=0).as_py())
        events = events.filter(both)
        until = pc.coalesce(events["until"], events["time"])
        events = events.set_column(events.schema.get_field_index("until"), "until", until)
        forwards = pc.greater_equal(until, events["time"])
        account.add(BACKWARDS, events.num_rows - pc.sum(forwards, min_count=0).as_py())
        return events.filter(forwards)

    def _index(self, pairs: Pairs, member: NDArray[np.bool_]) -> None:
        for name, slot in self.index_slots.items():
            there = member[self._place[name]] & ~pairs.absent
            self.said.add(slot, pairs.encounter[there], pairs.until[there])

    def _label(self, pairs: Pairs, member: _Mask) -> None:
        pairs = pairs.take(member)
        rule = self._definition.label
        threshold = rule.threshold()
        if threshold is not None:
            yes, no = _sides(self._read("label", pairs), threshold)
        elif rule.by_answers:
            yes = _answered(pairs, map(plain_answer, rule.positive or ()))
            no = _answered(pairs, map(plain_answer, rule.negative or ()))
            self._records.account.add(UNNAMED, int((~yes & ~no).sum()))
        else:
            yes, no = ~pairs.absent, pairs.absent
        for slot, decides in ((POSITIVE, yes), (NEGATIVE, no)):
            self.said.add(slot, pairs.encounter[decides], pairs.until[decides])

    def _findings(self, pairs: Pairs, member: NDArray[np.bool_]) -> None:
        unsaid = _answered(pairs, NOTHING)
        for code, name in self._finding_sets.items():
            among = member[self._place[name]]
            self._records.account.add(UNSAID, int((among & unsaid).sum()))
            self._say(code, pairs, among & ~unsaid & ~pairs.absent, among & ~unsaid & pairs.absent)
        for code, rule in self._definition.findings.numbers.items():
            measured = pairs.take(member[self._place[rule.set]])
            self._say(code, measured, *_sides(self._read(f"findings.numbers.{code}", measured), rule))

    def _without_label(self, member: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take the label's own codes out of the shipped sets of findings; bool (S, P)."""
        shipped = np.array([name.startswith(BUILTIN) for name in self._matcher.names])
        allowed: NDArray[np.bool_] = member & ~(shipped[:, None] & member[self._place[self._definition.label.set]])
        return allowed

    def _say(self, code: str, pairs: Pairs, present: _Mask, absent: _Mask) -> None:
        slot = self.finding_slots[code]
        self.said.add(slot, pairs.encounter[present], pairs.until[present])
        self.said.add(slot + 1, pairs.encounter[absent], pairs.until[absent])

    def _grades(self, pairs: Pairs, member: NDArray[np.bool_]) -> None:
        for code, rule in self._definition.grades.items():
            measured = pairs.take(member[self._place[rule.set]])
            numbers = self._read(f"grades.{code}", measured)
            known = ~np.isnan(numbers)
            self.readings[code].add(measured.encounter[known], measured.until[known], numbers[known])

    def _read(self, key: str, pairs: Pairs) -> NDArray[np.float64]:
        return self._quantities[key].read(pairs.number, pairs.unit, pairs.units)

    def _check_leaks(self, problems: Problems) -> None:
        """Refuse a finding or a grade that some event makes which also makes the label: an event may have two codes."""
        member = self._matcher.member()
        label = member[self._place[self._definition.label.set]]
        used = {f"the finding {code}": name for code, name in self._finding_sets.items()}
        used |= {f"findings.numbers.{code}": r.set for code, r in self._definition.findings.numbers.items()}
        used |= {f"grades.{code}": rule.set for code, rule in self._definition.grades.items()}
        for what, name in used.items():
            shared = int((member[self._place[name]] & label).sum())
            if name.startswith(BUILTIN):
                self._records.account.add(LABELS, shared)
            elif shared:
                problems.add(
                    f"{what}: events of {shared} codes have a code of the label's set, too; what is predicted cannot "
                    "be a finding: take the other code out by `without`, or leave the finding out"
                )


def _sides(numbers: NDArray[np.float64], rule: Threshold) -> tuple[_Mask, _Mask]:
    """Say which numbers mean yes and which no; neither where there is none."""
    yes = numbers > rule.above if rule.above is not None else numbers < np.float64(rule.below)
    return yes, ~yes & ~np.isnan(numbers)


def _answered(pairs: Pairs, answers: Any) -> _Mask:
    """Say which pairs have one of some answers, given as `plain_answer` does."""
    wanted = frozenset(answers)
    found: _Mask = np.array([plain_answer(answer) in wanted for answer in pairs.answers], dtype=np.bool_)[pairs.answer]
    return found


def _pairs(events: pa.RecordBatch, row: _Numbers, encounter: _Numbers) -> Pairs:
    answer, answers = _texts(events["answer"])
    unit, units = _texts(events["unit"])
    return Pairs(
        encounter,
        events["until"].cast(pa.int64()).to_numpy()[row],
        events["entry"].to_numpy().astype(np.int64)[row],
        events["absent"].fill_null(False).to_numpy(zero_copy_only=False)[row],
        events["number"].fill_null(np.nan).to_numpy()[row],
        answer[row],
        answers,
        unit[row],
        units,
    )


def _texts(values: pa.Array) -> tuple[_Numbers, tuple[str, ...]]:
    """Give the position of each text among the different ones; "" stands for null."""
    encoded = values.fill_null("").dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), tuple(encoded.dictionary.to_pylist())
