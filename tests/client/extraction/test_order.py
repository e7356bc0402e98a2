"""A cohort does not depend on the order of the records, nor on how they are cut into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import Memory, definition, encounter, event

from client.extraction import state, windows
from client.extraction.cohort import extract

HOURS = st.integers(0, 9).map(lambda n: f"2008-03-0{3 + n // 3}T{n % 3 * 8:02d}:00")
PATIENTS = st.sampled_from(["p1", "p2", "p3"])
DAYS = st.tuples(HOURS, st.booleans())


@st.composite
def events(draw):
    time, whole_day = draw(DAYS)
    more = {"time": f"{time[:10]}T00:00", "until": f"{time[:10]}T23:59:59.999999"} if whole_day else {"time": time}
    code = draw(st.sampled_from(["LOINC 80382-5", "ICD10CM R50.9", "SNOMED 49727002", "LOINC 8310-5", "SNOMED 7"]))
    if code == "LOINC 80382-5":
        more["answer"] = draw(st.sampled_from(["Positive", "Negative", "unclear"]))
    if code == "LOINC 8310-5":
        number, unit = draw(st.sampled_from([(38.5, "Cel"), (37.0, "Cel"), (100.4, "[degF]"), (99.0, "Cel")]))
        more |= {"number": number, "unit": unit}
    named = draw(st.sampled_from([None, None, "e0", "e1", "e2"]))
    return event(code, patient=draw(PATIENTS), absent=draw(st.booleans()), encounter=named, **more)


@st.composite
def records(draw):
    starts = draw(st.lists(st.tuples(PATIENTS, HOURS), min_size=1, max_size=6))
    encounters = [encounter(f"e{n}", patient, start) for n, (patient, start) in enumerate(starts)]
    known = event("SNOMED 49727002", patient=starts[0][0], time="2000-01-01T00:00", encounter=None)  # of no encounter
    return encounters, [*draw(st.lists(events(), max_size=25)), known]


def told(found):
    grades = {code: np.nan_to_num(numbers, nan=-1.0).tolist() for code, numbers in found.grades.items()}
    findings = {code: values.tolist() for code, values in found.findings.items()}
    local = [(code.code, code.encounters) for code in found.local]
    rest = found.attrition.rows(), found.decisions, local
    return found.chosen.encounter.to_pylist(), found.labels.tolist(), findings, grades, rest


@settings(max_examples=40, deadline=None)
@given(data=st.data(), made=records(), take=st.sampled_from(["highest", "lowest", "first", "last"]))
def test_order_and_batches_do_not_matter(data, made, take):
    grade = definition().grades["heat"].model_dump(exclude_unset=True) | {"take": take}
    rule = definition(grades={"heat": grade}, findings={"local": {"most": 3, "at_least": 1}})
    first = told(extract(rule, Memory(*made, batch=1000)))
    shuffled = [data.draw(st.permutations(part)) for part in made]
    before = state._PENDING, windows.MOST_PAIRS
    state._PENDING, windows.MOST_PAIRS = data.draw(st.sampled_from([(1, 1), (3, 4)]))  # folds and cuts all the time
    try:
        assert told(extract(rule, Memory(*shuffled, batch=data.draw(st.integers(1, 5))))) == first
    finally:
        state._PENDING, windows.MOST_PAIRS = before


@settings(max_examples=40, deadline=None)
@given(made=records())
def test_as_plain_loops_find_it(made):
    """The same by the definition's words: a loop over encounters and events."""
    rule = definition(grades={}, window={"before": "12h", "after": "24h"}, label={"otherwise": "negative"})
    found = extract(rule, Memory(*made))
    expected = sorted(_plainly(made), key=lambda row: row[0])
    got = zip(
        found.chosen.encounter.to_pylist(),
        found.labels.tolist(),
        *(v.tolist() for v in found.findings.values()),
        strict=True,
    )
    assert sorted(got) == expected


def _plainly(made):
    encounters, happened = made
    for row in encounters:
        start = np.datetime64(row["start"], "us")
        opens, closes = start - np.timedelta64(12, "h"), start + np.timedelta64(24, "h")
        mine = [
            (np.datetime64(e.get("until", e["time"]), "us"), e)
            for e in happened
            if e["patient"] == row["patient"]
            and e["encounter"] in (None, row["encounter"])
            and np.datetime64(e["time"], "us") <= closes
            and np.datetime64(e.get("until", e["time"]), "us") >= opens
        ]
        tests = {answer: [t for t, e in mine if e.get("answer") == answer] for answer in ("Positive", "Negative")}
        decided = min(tests["Positive"] or tests["Negative"], default=np.datetime64("9999"))
        values = []
        for code in ("ICD10CM R50.9", "SNOMED 49727002"):
            said = {e["absent"] for t, e in mine if e["code"] == code and t <= decided}
            values.append(0 if False in said else 1 if True in said else -1)
        yield row["encounter"], int(bool(tests["Positive"])), *values
