"""Small counts are not shown, nor what they could be worked out from."""

from __future__ import annotations

import json

from made_records import Memory, definition, encounter, event

from client.extraction.cohort import extract
from client.extraction.report import facts, lines, small


def made(encounters, events, **changes):
    rule = definition(**changes)
    return facts(extract(rule, Memory(encounters, events, batch=100), unmapped=True), rule, 11)


def many(number, kind="home"):
    return [encounter(f"{kind}{n}", f"{kind}{n}", kind=kind) for n in range(number)]


def answered(number, answer="Negative", kind="home"):
    return [event(answer=answer, patient=f"{kind}{n}", time="2008-03-06") for n in range(number)]


def test_small():
    assert [small(number, 11) for number in (0, 1, 10, 11)] == [0, "<11", "<11", 11]


def test_a_step_that_left_out_few_is_told_with_the_next():
    encounters = [*many(40), *many(3, "inpatient"), *[encounter(f"x{n}", f"x{n}") for n in range(20)]]
    shown = made([*encounters, *([encounter(None)] * 30)], answered(40), index={"kinds": ["home", "inpatient"]})
    assert shown["steps"] == [
        {"step": "encounters without an id: left out", "left_out": 30, "stayed": 63},
        {"step": "of another kind", "left_out": None, "stayed": None},
        {"step": "without a label", "left_out": "23 with the above", "stayed": 40},
    ]
    assert shown["encounters"] == 40
    first = made([*many(40), encounter(None), *many(20, "other")], answered(40), index={"kinds": ["home"]})
    assert first["steps"] == [
        {"step": "encounters without an id: left out", "left_out": "<11", "stayed": None},
        {"step": "of another kind", "left_out": "21 with the above", "stayed": 40},
    ]


def test_where_few_are_left_out_in_all_the_number_read_is_not_told():
    shown = made([*many(140), encounter(None)], answered(140))
    assert (shown["read"], shown["encounters"]) == ("fewer than 151", 140)
    assert shown["steps"] == [{"step": "encounters without an id: left out", "left_out": "<11", "stayed": None}]


def test_where_few_stay_it_is_not_told_how_many_were_left_out():
    shown = made([*many(8), *many(60, "inpatient")], answered(8), index={"kinds": ["home"]})
    assert (shown["read"], shown["encounters"]) == (68, "<11")
    assert shown["steps"] == [{"step": "of another kind", "left_out": None, "stayed": "<11"}]
    twenty = made([*many(10), *many(10, "inpatient")], answered(10), index={"kinds": ["home"]})
    assert (twenty["read"], twenty["encounters"]) == (None, "<11")
    assert twenty["steps"] == [{"step": "of another kind", "left_out": "<11", "stayed": "<11"}]


def test_few_positive_are_not_worked_out_from_the_prevalence():
    shown = made(many(40), [*answered(37), *answered(40, "Positive")[37:]])
    assert (shown["positive"], shown["prevalence"]) == ("<11", None)
    assert shown["years"] == [{"year": 2008, "encounters": 40, "positive": "<11"}]
    few_negative = made(many(40), [*answered(37, "Positive"), *answered(40)[37:]])
    assert (few_negative["prevalence"], few_negative["years"][0]["positive"]) == (None, None)
    assert few_negative["positive"] is None


def test_a_year_s_few_are_not_worked_out_from_the_sum():
    later = [encounter(f"l{n}", f"l{n}", "2009-03-05T12:00", kind="home") for n in range(30)]
    more = [event(answer="Positive", patient=f"l{n}", time="2009-03-06") for n in range(30)]
    shown = made([*many(40), *later], [*answered(35), *answered(40, "Positive")[35:], *more[:15], *negative(more[15:])])
    assert shown["positive"] == 20
    assert [(year["encounters"], year["positive"]) for year in shown["years"]] == [(40, "<11"), (30, None)]


def negative(events):
    return [{**event, "answer": "Negative"} for event in events]


def test_of_a_concept_s_three_counts_a_small_one_hides_another():
    coughs = [event("SNOMED 49727002", patient=f"home{n}") for n in range(4)]
    shown = made(many(40), [*answered(40), *coughs])
    cough = next(concept for concept in shown["concepts"] if concept["code"] == "cough")
    assert (cough["present"], cough["absent"], cough["unknown"]) == ("<11", 0, None)


def test_a_small_count_is_not_worked_out_from_another_concept():
    """A number's finding is known exactly where its grade is: 30 known, 28 absent, would tell that 2 are present."""
    heats = [event("LOINC 8310-5", patient=f"home{n}", number=39.0 if n < 2 else 37.0, unit="Cel") for n in range(30)]
    hot = {"numbers": {"hot": {"set": "temperature", "above": 38.0, "unit": "Cel"}}}
    concepts = {c["code"]: c for c in made(many(60), [*answered(60), *heats], findings=hot)["concepts"]}
    assert [concepts["heat"][name] for name in ("present", "unknown")] == [30, 30]
    assert [concepts["hot"][name] for name in ("present", "absent", "unknown")] == ["<11", None, None]


def years_of(*counts):
    """Extract so many encounters from 2008 on, the first of each year positive as said; give the counts shown."""
    encounters, events = [], []
    for year, (number, positive) in enumerate(counts, 2008):
        names = [f"{year}-{n}" for n in range(number)]
        encounters += [encounter(name, name, f"{year}-03-05T12:00") for name in names]
        said = ["Positive"] * positive + ["Negative"] * (number - positive)
        events += [event(answer=s, patient=p, time=f"{year}-03-06") for p, s in zip(names, said, strict=True)]
    return [(year["encounters"], year["positive"]) for year in made(encounters, events)["years"]]


def test_what_is_hidden_of_years_leaves_every_small_number_possible():
    assert [row[0] for row in years_of((1, 0), (11, 0), (40, 20))] == ["<11", 11, None]
    assert [row[0] for row in years_of((1, 0), (1, 0), (40, 20), (60, 30))] == ["<11", "<11", None, 60]
    assert [row[0] for row in years_of((1, 0), (11, 5))] == ["<11", None]
    assert [row[1] for row in years_of((40, 38), (40, 15), (40, 25))] == [None, 15, None]


def test_the_words_of_a_rare_local_code_are_not_shown():
    rare = [event("SNOMED 9", patient=f"home{n}", text="rare") for n in range(10)]
    shown = made(many(40), [*answered(40), *rare], findings={"local": {"most": 5, "at_least": 1}})
    assert [concept["code"] for concept in shown["concepts"]] == ["fever", "cough", "heat"]
    assert "rare" not in json.dumps(shown)


def test_rare_codes_are_not_listed():
    rare = [event("SNOMED 9", patient=f"home{n}", text="rare") for n in range(10)]
    common = [event("SNOMED 8", patient=f"home{n}", text="common") for n in range(11)]
    shown = made(many(40), [*answered(40), *rare, *common])
    assert shown["unmapped"] == [{"code": "SNOMED:8", "text": "common", "encounters": 11}]
    text = "\n".join(lines(shown)) + json.dumps(shown)
    assert "rare" not in text


def test_decisions_are_counted_but_small():
    shown = made(many(40), [*answered(40), *[event(patient=None)] * 3, *[event(time=None)] * 12])
    assert shown["decisions"]["events without a patient: left out"] == "<11"
    assert shown["decisions"]["events without a time: left out"] == 12
    assert any("<11  events without a patient" in line for line in lines(shown))
