"""From records to a cohort by its definition.

Letters: N encounters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.extraction.attrition import EXCLUDED, LABEL, REQUIRED, Attrition
from client.extraction.definition import Definition
from client.extraction.encounters import Chosen, choose
from client.extraction.gather import NEGATIVE, POSITIVE, Gathered
from client.extraction.locals import Local, choose_locals
from client.extraction.sets import resolve, wanted
from client.extraction.state import NEVER
from client.records.contract import Records

PRESENT, ABSENT, UNKNOWN = 0, 1, -1

DISAGREE = "encounters whose label's events disagree: taken as positive"
BOTH = "findings recorded as present and as absent: taken as present"
LATE = "findings recorded after the label's time only: left out"
LATE_NUMBERS = "numbers recorded after the label's time only: left out"

Progress = Callable[[str, int], None]  # what is read, and how many rows more


@dataclass(frozen=True, eq=False)
class Extracted:
    """A cohort, as it is written.

    Attributes
    ----------
    chosen : Chosen
        The N encounters.
    labels : int8 array (N,)
        1 positive, 0 negative.
    findings : dict of str to int8 array (N,)
        By concept code: `PRESENT`, `ABSENT`, `UNKNOWN`.
    grades : dict of str to float64 array (N,)
        By concept code; NaN is unknown.
    local : list of Local
        The local concepts among the findings.
    unmapped : list of Local
        Other codes in no set, the most frequent first; empty unless they were asked for.
    attrition : Attrition
    decisions : dict of str to int
        What was decided about odd records, and how often.
    """

    chosen: Chosen
    labels: NDArray[np.int8]
    findings: dict[str, NDArray[np.int8]]
    grades: dict[str, NDArray[np.float64]]
    local: list[Local]
    unmapped: list[Local]
    attrition: Attrition
    decisions: dict[str, int]


def extract(
    definition: Definition, records: Records, unmapped: bool = False, progress: Progress = lambda _what, _rows: None
) -> Extracted:
    """Read records once for their encounters and once for their events.

    Parameters
    ----------
    unmapped : bool
        Whether codes in no set are counted, too; costs memory and time.

    Raises
    ------
    ConfigError
        The definition does not fit the records' vocabulary.
    CohortError
        The records cannot be read, or would give a wrong cohort; says what, how often, and what to do.
    """
    sets = resolve(definition, records)
    attrition = Attrition()
    chosen = choose(definition, records, attrition, lambda rows: progress("encounters", rows))
    local = unmapped or definition.findings.local is not None
    gathered = Gathered(definition, sets, chosen, records, local)
    for batch in records.events(wanted(sets, all_codes=local)):
        gathered.add(batch)
        progress("events", batch.num_rows)
    gathered.finish()
    return _finish(definition, gathered, chosen, attrition, records, unmapped)


def _finish(
    definition: Definition,
    gathered: Gathered,
    chosen: Chosen,
    attrition: Attrition,
    records: Records,
    unmapped: bool,
) -> Extracted:
    """Decide labels, leave out encounters, and let what came after the label's time go."""
    positive, negative = gathered.said.slot(POSITIVE), gathered.said.slot(NEGATIVE)
    labels = (positive < NEVER).astype(np.int8)
    kept = _keep(definition, gathered, (positive < NEVER) | (negative < NEVER), attrition)
    records.account.add(DISAGREE, int(((positive < NEVER) & (negative < NEVER) & kept).sum()))
    latest = np.where(labels == 1, positive, negative)
    if definition.window.after_label:
        latest[:] = NEVER
    found = gathered.locals.found(gathered.said, latest, kept) if gathered.locals else []
    codes = {*definition.finding_codes(), *definition.grades, *definition.ages}
    local = choose_locals(found, definition.findings.local, codes)
    slots = gathered.finding_slots | {concept.code: concept.slot for concept in local}
    findings = {code: _finding(gathered, slot, latest, kept, records) for code, slot in slots.items()}
    grades = {code: _grade(gathered, code, latest, kept, records) for code in definition.grades}
    rest = [other for other in found if other not in local] if unmapped else []
    counts = dict(sorted(records.account.counts.items()))
    return Extracted(chosen.take(kept), labels[kept], findings, grades, local, rest, attrition, counts)


def _keep(
    definition: Definition, gathered: Gathered, labelled: NDArray[np.bool_], attrition: Attrition
) -> NDArray[np.bool_]:
    """Say which encounters have what is required, nothing that is excluded, and a label; bool (N,)."""
    kept = np.ones(len(labelled), dtype=np.bool_)
    for name in definition.index.require:
        kept = attrition.keep(REQUIRED, gathered.said.slot(gathered.index_slots[name]) < NEVER, kept)
    for name in definition.index.exclude:
        kept = attrition.keep(EXCLUDED, gathered.said.slot(gathered.index_slots[name]) == NEVER, kept)
    if definition.label.leaves_out:
        kept = attrition.keep(LABEL, labelled, kept)
    return kept


def _finding(
    gathered: Gathered, slot: int, latest: NDArray[np.int64], kept: NDArray[np.bool_], records: Records
) -> NDArray[np.int8]:
    present, absent = gathered.said.slot(slot)[kept], gathered.said.slot(slot + 1)[kept]
    latest = latest[kept]
    yes, no = (present <= latest) & (present < NEVER), (absent <= latest) & (absent < NEVER)
    records.account.add(BOTH, int((yes & no).sum()))
    records.account.add(LATE, int(((np.minimum(present, absent) < NEVER) & ~yes & ~no).sum()))
    return np.where(yes, PRESENT, np.where(no, ABSENT, UNKNOWN)).astype(np.int8)


def _grade(
    gathered: Gathered, code: str, latest: NDArray[np.int64], kept: NDArray[np.bool_], records: Records
) -> NDArray[np.float64]:
    numbers = gathered.readings[code].take(latest)[kept]
    ever = gathered.readings[code].take(np.full_like(latest, NEVER))[kept]
    records.account.add(LATE_NUMBERS, int((np.isnan(numbers) & ~np.isnan(ever)).sum()))
    return numbers
