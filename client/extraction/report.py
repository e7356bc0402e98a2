"""What an extraction found, for people and for programs. Small counts are not shown: a report may be sent by mail.

A count from 1 to below the smallest that may be shown is "<11". What it could be worked out from is not shown
either: where a step left out few, it is told together with its neighbours; of counts that add up to one that is
shown, another is left away, so large that each small number stays possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.extraction.cohort import ABSENT, PRESENT, UNKNOWN, Extracted
from client.extraction.definition import Definition
from common.concepts import builtin_concepts

Shown = int | str | None  # a count, "<11", or nothing

_UNMAPPED = 30
_Step = tuple[str, int, int]  # its words, how many it left out, how many stayed


def facts(extracted: Extracted, definition: Definition, min_cell: int) -> dict[str, Any]:
    """Give everything that is shown, small counts hidden."""
    encounters, positive = len(extracted.chosen), int(extracted.labels.sum())
    read, left_out = extracted.attrition.read, extracted.attrition.read - encounters
    hidden = any(0 < number < min_cell for number in (encounters, positive, encounters - positive))
    few = 0 < left_out < min_cell
    return {
        "definition": definition.name,
        "read": small(read, min_cell) if not few else _about(encounters, min_cell),
        "steps": _steps(extracted, min_cell),
        "encounters": small(encounters, min_cell),
        "positive": small(positive, min_cell) if positive < min_cell or not hidden else None,
        "prevalence": None if hidden or not encounters else round(positive / encounters, 4),
        "years": _years(extracted, min_cell),
        "concepts": _concepts(extracted, definition, min_cell),
        "decisions": {words: small(number, min_cell) for words, number in extracted.decisions.items()},
        "unmapped": [
            {"code": code.code, "text": code.text, "encounters": code.encounters}
            for code in extracted.unmapped
            if code.encounters >= min_cell
        ][:_UNMAPPED],
    }


def small(number: int, min_cell: int) -> Shown:
    """Give a count as it may be shown."""
    return f"<{min_cell}" if 0 < number < min_cell else number


def _about(encounters: int, min_cell: int) -> str | None:
    """Say how many encounters were read where few were left out."""
    return f"fewer than {encounters + min_cell:,}" if encounters >= min_cell else None


def why_nobody(shown: dict[str, Any]) -> str:
    """Say in one line why a cohort is empty."""
    if not shown["steps"]:
        return f"{shown['definition']}: the records hold no encounter"
    numbers = ((step["step"], step["left_out"]) for step in shown["steps"])
    steps = "; ".join(step if number is None else f"{step}: {_number(number)}" for step, number in numbers)
    return f"{shown['definition']}: none of {_number(shown['read'])} encounters is left ({steps})"


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """Put the facts into lines for a terminal."""
    yield f"{_number(shown['read'])} encounters read"
    for step in shown["steps"]:
        stayed = "" if step["stayed"] is None else f"{_number(step['stayed'])} stay"
        yield f"  - {_number(step['left_out']):>12}  {step['step']:<66} {stayed}".rstrip()
    rate = "" if shown["prevalence"] is None else f" ({shown['prevalence']:.1%})"
    yield f"{_number(shown['encounters'])} encounters in the cohort, {_number(shown['positive'])} positive{rate}"
    for year in shown["years"]:
        of_year = f"{_number(year['encounters']):>12} encounters  {_number(year['positive']):>12} positive"
        yield f"  {year['year']}  {of_year}"
    yield f"{'concept':<24} {'present':>12} {'absent':>12} {'unknown':>12}  text"
    for found in shown["concepts"]:
        counts = " ".join(f"{_number(found[name]):>12}" for name in ("present", "absent", "unknown"))
        yield f"{found['code']:<24} {counts}  {found['text']}"
    if shown["decisions"]:
        yield "decided about odd records:"
    for words, number in shown["decisions"].items():
        yield f"  {_number(number):>12}  {words}"
    if shown["unmapped"]:
        yield "codes in no set, by encounters that have them:"
    for code in shown["unmapped"]:
        yield f"  {_number(code['encounters']):>12}  {code['code']}  {code['text']}"


def _steps(extracted: Extracted, min_cell: int) -> list[dict[str, Any]]:
    """Give the attrition table; of steps that left out few, only the sum with their neighbours is told."""
    steps: list[dict[str, Any]] = []
    for group in _groups(extracted.attrition.rows(), min_cell):
        total = sum(left_out for _, left_out, _ in group)
        for step, left_out, _ in group:
            few = 0 < left_out < min_cell
            steps.append({"step": step, "left_out": small(left_out, min_cell) if few else None, "stayed": None})
        stayed = group[-1][2]
        if 0 < stayed < min_cell:  # and so what was left out of those that stayed before is not told
            steps[-1] |= {"stayed": small(stayed, min_cell)}
        elif total >= min_cell:
            together = total if len(group) == 1 else f"{total:,} with the above"
            steps[-1] |= {"left_out": together, "stayed": stayed}
    return steps


def _groups(rows: list[_Step], min_cell: int) -> list[list[_Step]]:
    """Put neighbouring steps together until each group left out enough, or there is one group."""
    groups: list[list[_Step]] = []
    for row in rows:
        if groups and sum(left_out for _, left_out, _ in groups[-1]) < min_cell:
            groups[-1].append(row)
        else:
            groups.append([row])
    if len(groups) > 1 and sum(left_out for _, left_out, _ in groups[-1]) < min_cell:
        last = groups.pop()
        groups[-1] += last
    return groups


def _years(extracted: Extracted, min_cell: int) -> list[dict[str, Any]]:
    years = extracted.chosen.start.astype("M8[us]").astype("M8[Y]").astype(np.int64) + 1970
    rows = []
    for year in np.unique(years):
        labels = extracted.labels[years == year]
        positive = int(labels.sum())
        row = {"year": int(year), "encounters": small(len(labels), min_cell), "positive": small(positive, min_cell)}
        if 0 < len(labels) - positive < min_cell:  # the difference would tell the negative ones
            row["positive"] = None
        rows.append(row)
    _hide_another(rows, "encounters", min_cell)
    _hide_another(rows, "positive", min_cell)
    return rows


def _hide_another(rows: list[dict[str, Any]], name: str, min_cell: int) -> None:
    """Where counts are hidden, hide a larger one, too, if there is one: the rows add up to a number that is told.

    One of twice the smallest that is shown leaves every small number possible; where there is none, all are hidden.
    """
    told = [row for row in rows if isinstance(row[name], int) and row[name] > 0]
    if len(told) == sum(row[name] != 0 for row in rows):
        return
    large = [row for row in told if row[name] >= 2 * min_cell]
    for row in [min(large, key=lambda row: row[name])] if large else told:
        row[name] = None


def _concepts(extracted: Extracted, definition: Definition, min_cell: int) -> list[dict[str, Any]]:
    words = {code: concept.text for code, concept in builtin_concepts().items()}
    words |= {local.code: local.text for local in extracted.local} | definition.texts
    rows, local = [], {local.code for local in extracted.local}
    for code, values in extracted.findings.items():
        if code in local and 0 < (values != UNKNOWN).sum() < min_cell:
            continue  # the words of a rare code of the hospital's own
        rows.append(_row(code, words, (values == PRESENT).sum(), (values == ABSENT).sum(), len(values), min_cell))
    known: dict[str, NDArray[np.bool_]] = {code: ~np.isnan(numbers) for code, numbers in extracted.grades.items()}
    known |= dict.fromkeys(definition.ages, extracted.chosen.age >= 0)
    for code, there in known.items():
        rows.append(_row(code, words, there.sum(), 0, len(there), min_cell))
    return rows


def _row(code: str, words: dict[str, str], present: int, absent: int, whole: int, min_cell: int) -> dict[str, Any]:
    """Give a concept's counts; where one of three is small, the others are not told.

    The three add up, and two may add up to what another concept tells of the same events.
    """
    counts: dict[str, Any] = {"present": int(present), "absent": int(absent)}
    counts["unknown"] = whole - counts["present"] - counts["absent"]
    told: dict[str, Any] = {name: small(number, min_cell) for name, number in counts.items()}
    if any(0 < number < min_cell for number in counts.values()):
        told = {name: None if counts[name] >= min_cell else shown for name, shown in told.items()}
    return {"code": code, "text": words.get(code, code)} | told


def _number(shown: Shown) -> str:
    return f"{shown:,}" if isinstance(shown, int) else shown or "-"
