"""From encounters and events to a cohort, by numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_records import DEFINITION, Memory, definition, encounter, event

from client.extraction.attrition import (
    AGE,
    BACKWARDS,
    DATES,
    EXCLUDED,
    FIRST,
    KIND,
    LABEL,
    NO_END,
    NO_ID,
    NO_PATIENT,
    NO_START,
    REQUIRED,
    TWICE,
)
from client.extraction.cohort import ABSENT, BOTH, DISAGREE, LATE, LATE_NUMBERS, PRESENT, UNKNOWN, extract
from client.extraction.definition import Definition
from client.extraction.gather import BACKWARDS as EVENT_BACKWARDS
from client.extraction.gather import ELSEWHERE, LABELS, NO_TIME, UNNAMED
from client.extraction.gather import NO_PATIENT as EVENT_NO_PATIENT
from common.errors import CohortError
from common.toml import check

FEVER, COUGH, HEAT = "ICD10CM R50.9", "SNOMED 49727002", "LOINC 8310-5"
TEST = event(answer="Negative", time="2008-03-07T12:00")


def run(encounters, events, **changes):
    return extract(definition(**changes), Memory(encounters, events))


def one(*events, encounters=None, **changes):
    """Extract one encounter with a negative test two days after its start."""
    return run(encounters or [encounter()], [TEST, *events], **changes)


def test_a_cohort():
    encounters = [encounter(), encounter("e2", "p2"), encounter("e3", "p3")]
    events = [
        event(answer="Positive", time="2008-03-06T12:00"),
        event(FEVER),
        event(COUGH, absent=True),
        event(HEAT, number=100.4, unit="[degF]"),
        event(answer="negative ", patient="p2"),
        event(FEVER, patient="p2", time="2008-03-05T12:30"),
    ]
    found = run(encounters, events)
    assert found.chosen.encounter.to_pylist() == ["e1", "e2"]
    assert found.labels.tolist() == [1, 0]
    assert found.findings["fever"].tolist() == [PRESENT, PRESENT]
    assert found.findings["cough"].tolist() == [ABSENT, UNKNOWN]
    assert found.grades["heat"][0] == 38.0
    assert np.isnan(found.grades["heat"][1])
    assert found.attrition.rows() == [(LABEL, 1, 2)]


@pytest.mark.parametrize(
    ("time", "counts"),
    [
        ("2008-03-04T12:00", True),
        ("2008-03-04T11:59:59.999999", False),
        ("2008-03-08T12:00", True),
        ("2008-03-08T12:00:00.000001", False),
    ],
)
def test_the_ends_of_a_window_belong_to_it(time, counts):
    found = one(event(FEVER, time=time), window={"after_label": True})
    assert found.findings["fever"].tolist() == [PRESENT if counts else UNKNOWN]


def test_a_day_without_an_hour_meets_the_window_by_either_end():
    day = {"time": "2008-03-04T00:00", "until": "2008-03-04T23:59:59.999999"}
    assert one(event(FEVER, **day)).findings["fever"].tolist() == [PRESENT]
    before = {"time": "2008-03-03T00:00", "until": "2008-03-03T23:59:59.999999"}
    assert one(event(FEVER, **before)).findings["fever"].tolist() == [UNKNOWN]


def test_a_window_to_the_encounter_s_end():
    stays = [encounter(end="2008-03-08T12:00"), encounter("e2", "p2")]
    inside, outside = event(FEVER, time="2008-03-08T12:00"), event(COUGH, time="2008-03-08T12:00:00.000001")
    window = {"after": "end", "after_label": True}
    found = run(stays, [TEST, inside, outside], window=window)
    assert (found.findings["fever"].tolist(), found.findings["cough"].tolist()) == ([PRESENT], [UNKNOWN])
    assert found.attrition.left_out[NO_END] == 1


def test_a_long_stay_before_a_short_one_is_not_forgotten():
    stays = [encounter(end="2008-04-01"), encounter("e2", start="2008-03-10", end="2008-03-11")]
    found = run(stays, [TEST, event(FEVER, time="2008-03-20T12:00")], window={"after": "end", "after_label": True})
    assert found.findings["fever"].tolist() == [PRESENT]
    assert found.chosen.encounter.to_pylist() == ["e1"]


def test_an_event_that_names_an_encounter_belongs_to_no_other():
    both = [encounter(), encounter("e2", start="2008-03-05T13:00")]
    found = one(event(FEVER, encounter="e2"), encounters=both)
    assert found.findings["fever"].tolist() == [UNKNOWN, PRESENT]


def test_what_is_recorded_after_the_label_s_time_is_left_out_and_counted():
    late = [event(FEVER, time="2008-03-07T12:00:00.000001"), event(HEAT, number=39.0, unit="Cel", time="2008-03-08")]
    found = one(*late)
    assert found.findings["fever"].tolist() == [UNKNOWN]
    assert np.isnan(found.grades["heat"][0])
    assert (found.decisions[LATE], found.decisions[LATE_NUMBERS]) == (1, 1)
    kept = one(*late, window={"after_label": True})
    assert kept.findings["fever"].tolist() == [PRESENT]
    assert kept.grades["heat"].tolist() == [39.0]


def test_a_finding_of_the_label_s_own_moment_counts():
    assert one(event(FEVER, time="2008-03-07T12:00")).findings["fever"].tolist() == [PRESENT]
    number = event(HEAT, time="2008-03-07T12:00", number=39.0, unit="Cel")
    assert one(number).grades["heat"].tolist() == [39.0]


def test_an_absence_before_the_label_stands_against_a_presence_after_it():
    found = one(event(FEVER, absent=True), event(FEVER, time="2008-03-08"))
    assert found.findings["fever"].tolist() == [ABSENT]


def test_the_label_s_time_is_that_of_the_event_that_decides():
    positive = event(answer="Positive", time="2008-03-08T00:00")
    found = one(positive, event(FEVER, time="2008-03-07T18:00"))
    assert found.labels.tolist() == [1]
    assert found.findings["fever"].tolist() == [PRESENT]  # after the negative test, before the positive one
    assert found.decisions[DISAGREE] == 1


def test_present_outweighs_absent():
    found = one(event(COUGH, absent=True), event(COUGH))
    assert found.findings["cough"].tolist() == [PRESENT]
    assert found.decisions[BOTH] == 1


def test_an_answer_that_says_neither_is_no_finding():
    found = one(event(COUGH, answer="Unknown"))
    assert found.findings["cough"].tolist() == [UNKNOWN]


def test_answers_that_the_definition_does_not_name_are_counted():
    found = one(event(answer="weakly so"))
    assert (found.labels.tolist(), found.decisions[UNNAMED]) == ([0], 1)


@pytest.mark.parametrize(("otherwise", "encounters"), [("negative", 2), ("leave out", 1)])
def test_an_encounter_without_a_label(otherwise, encounters):
    found = one(encounters=[encounter(), encounter("e2", "p2")], label={"otherwise": otherwise})
    assert len(found.labels) == encounters
    assert found.attrition.left_out[LABEL] == 2 - encounters


def test_a_label_by_a_number():
    rule = {"set": "test", "above": 1.0, "unit": "mg/dL"}
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3)]
    events = [event(patient=f"p{n}", number=number, unit="g/L") for n, number in ((1, 0.01), (2, 0.0101))]
    found = run_label(rule, encounters, events)
    assert found.chosen.encounter.to_pylist() == ["e1", "e2"]
    assert found.labels.tolist() == [0, 1]


def test_a_label_by_being_there():
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3)]
    found = run_label({"set": "test"}, encounters, [event(), event(patient="p2", absent=True)])
    assert found.labels.tolist() == [1, 0, 0]


def run_label(rule, encounters, events):
    return extract(check(DEFINITION | {"label": rule}, Definition, "flu.toml"), Memory(encounters, events))


def test_a_finding_by_a_number():
    numbers = {"hot": {"set": "temperature", "above": 38.0, "unit": "Cel"}}
    findings = {"numbers": numbers}
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3)]
    events = [event(patient=f"p{n}", answer="Negative", time="2008-03-08") for n in (1, 2, 3)]
    events += [event(HEAT, patient="p1", number=100.4, unit="[degF]"), event(HEAT, patient="p3")]
    events += [event(HEAT, patient="p2", number=38.1, unit="Cel"), event(HEAT, patient="p2", number=37.0, unit="Cel")]
    found = run(encounters, events, findings=findings)
    assert found.findings["hot"].tolist() == [ABSENT, PRESENT, UNKNOWN]


@pytest.mark.parametrize(("take", "number"), [("highest", 39.5), ("lowest", 36.5), ("first", 38.0), ("last", 37.0)])
def test_one_of_several_numbers_is_taken(take, number):
    numbers = [(13, 38.0), (14, 39.5), (15, 36.5), (16, 37.0)]
    events = [event(HEAT, time=f"2008-03-05T{hour}:00", number=value, unit="Cel") for hour, value in numbers]
    grade = definition().grades["heat"].model_dump(exclude_unset=True) | {"take": take}
    for order in (events, events[::-1]):
        assert one(*order, grades={"heat": grade}).grades["heat"].tolist() == [number]


@pytest.mark.parametrize("take", ["first", "last"])
def test_of_numbers_at_one_moment_the_highest_is_taken(take):
    events = [event(HEAT, number=number, unit="Cel") for number in (38.0, 39.5, 36.5)]
    grade = definition().grades["heat"].model_dump(exclude_unset=True) | {"take": take}
    assert one(*events, grades={"heat": grade}).grades["heat"].tolist() == [39.5]


def test_what_is_read_late_may_be_what_was_recorded_early():
    found = one(event(FEVER, time="2008-03-08T00:00"), event(FEVER, time="2008-03-05T12:00"))
    assert found.findings["fever"].tolist() == [PRESENT]


def test_an_encounter_of_no_length_is_one():
    assert len(one(encounters=[encounter(end="2008-03-05T12:00")]).labels) == 1


def test_an_early_low_number_stays_known_until_the_label_s_time_is():
    early = event(HEAT, number=38.0, unit="Cel")
    late = event(HEAT, number=41.0, unit="Cel", time="2008-03-08T00:00")
    assert one(late, early).grades["heat"].tolist() == [38.0]


def test_implausible_numbers_are_unknown_and_counted():
    found = one(event(HEAT, number=101.0, unit="Cel"), event(HEAT, number=float("inf"), unit="Cel"))
    assert np.isnan(found.grades["heat"][0])
    assert found.decisions["grades.heat: numbers outside 25 to 45 Cel: taken as unknown"] == 1
    assert found.decisions["numbers that are not finite: taken as none"] == 1


@pytest.mark.parametrize("number", [25.0, 45.0])
def test_the_ends_of_what_is_plausible_belong_to_it(number):
    assert one(event(HEAT, number=number, unit="Cel")).grades["heat"].tolist() == [number]


def test_units_that_cannot_be_converted_are_an_error_that_counts_them():
    events = [event(HEAT, number=70.0, unit="kg")] * 2 + [event(HEAT, number=37.0)]
    with pytest.raises(CohortError, match=r"grades.heat: numbers that cannot be converted to Cel: ") as error:
        one(*events)
    assert '2 in "kg", 1 without a unit' in str(error.value)
    assert "70" not in str(error.value)


def test_what_a_unit_means_is_for_the_definition_to_say():
    grade = definition().grades["heat"].model_dump(exclude_unset=True) | {"units": {"": "degF", "grad": "Cel"}}
    found = one(event(HEAT, number=100.4), event(HEAT, number=37.5, unit="grad"), grades={"heat": grade})
    assert found.grades["heat"].tolist() == [38.0]


def test_numbers_outside_every_window_do_not_matter():
    assert np.isnan(one(event(HEAT, number=70.0, unit="kg", time="2010-01-01")).grades["heat"][0])


def test_attrition():
    born = {"birth": "1990-03-05"}
    encounters = [
        encounter(kind="emergency", **born),
        encounter(kind="emergency", **born),
        encounter(None),
        encounter("e2", None),
        encounter("e3", start=None),
        encounter("e4", end="2008-03-05T11:59"),
        encounter("e5", kind="inpatient", **born),
        encounter("e6"),
        encounter("e7", start="2007-12-31T23:59:59", kind="emergency", **born),
        encounter("e8", start="2009-01-01", kind="emergency", **born),
        encounter("e9", kind="emergency", birth="1990-03-06"),
        encounter("e10", kind="emergency"),
        encounter("e11", start="2008-03-05T12:01", kind="emergency", **born),
    ]
    index = {"kinds": ["emergency"], "from": "2008-01-01", "before": "2009-01-01", "age": [18, 120], "first": True}
    found = one(encounters=encounters, index=index)
    assert found.chosen.encounter.to_pylist() == ["e1"]
    counts = {NO_ID: 1, NO_PATIENT: 1, NO_START: 1, BACKWARDS: 1, KIND: 2, DATES: 2, AGE: 2, TWICE: 1, FIRST: 1}
    assert {step: number for step, number in found.attrition.left_out.items() if number} == counts
    assert found.attrition.read == 13


@pytest.mark.parametrize(
    ("birth", "start", "age"),
    [
        ("1990-03-05", "2008-03-05", 18),
        ("1990-03-05T23:00", "2008-03-05T01:00", 18),
        ("1990-03-06", "2008-03-05T23:59", 17),
        ("1988-02-29", "2007-02-28", 18),
        ("1988-02-29", "2007-03-01", 19),
        ("2008-03-05T14:00", "2008-03-05", 0),
        ("2008-03-06", "2008-03-05", -1),
        ("1850-01-01", "2008-03-05", -1),
    ],
)
def test_ages_at_birthdays(birth, start, age):
    found = run([encounter(start=start, birth=birth)], [event(answer="Negative", time=start)])
    assert found.chosen.age.tolist() == [age]
    assert sum("taken as unknown" in words for words in found.decisions) == (age == -1)


def test_required_and_excluded():
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3, 4)]
    events = [event(patient=f"p{n}", answer="Negative") for n in (1, 2, 3, 4)]
    events += [event(FEVER, patient="p1"), event(FEVER, patient="p2"), event(FEVER, patient="p4", absent=True)]
    events += [event(COUGH, patient="p2")]
    index = {"require": ["fever"], "exclude": ["cough"]}
    found = run(encounters, events, index=index, findings={"sets": {"other": "temperature"}}, grades={})
    assert found.chosen.encounter.to_pylist() == ["e1"]
    assert (found.attrition.left_out[REQUIRED], found.attrition.left_out[EXCLUDED]) == (2, 1)


def test_events_that_cannot_be_placed_are_counted():
    odd = [event(FEVER, patient=None), event(FEVER, time=None), event(FEVER, until="2008-03-05T12:59")]
    found = one(*odd)
    assert found.findings["fever"].tolist() == [UNKNOWN]
    assert [found.decisions[words] for words in (EVENT_NO_PATIENT, NO_TIME, EVENT_BACKWARDS)] == [1, 1, 1]


@pytest.mark.parametrize("other", [{"patient": "p2"}, {"start": "2008-03-05T12:01"}, {"kind": "home"}])
def test_an_id_of_two_encounters_is_an_error(other):
    with pytest.raises(CohortError, match="1 have an id that another encounter has") as error:
        one(encounters=[encounter(), encounter(**other)])
    assert "e1" not in str(error.value)


def test_an_id_of_two_encounters_is_an_error_even_if_one_is_left_out():
    with pytest.raises(CohortError, match="1 have an id that another encounter has"):
        one(encounters=[encounter(kind="home"), encounter(kind="inpatient")], index={"kinds": ["home"]})


def test_duplicate_events_change_nothing():
    events = [event(FEVER), event(HEAT, number=39.0, unit="Cel")]
    once, twice = one(*events), one(*events, *events, TEST)
    assert once.findings["fever"].tolist() == twice.findings["fever"].tolist()
    assert once.grades["heat"].tolist() == twice.grades["heat"].tolist()
    assert once.decisions == twice.decisions


def test_events_that_have_a_code_of_the_label_and_one_of_a_finding_are_an_error():
    with pytest.raises(CohortError, match="the finding cough: events of 1 codes have a code of the label's set, too"):
        one(event((COUGH, "LOINC 80382-5"), answer="Positive"))


def test_built_in_findings_do_without_the_label_s_codes():
    label, other = "SNOMED 21522001", "ICD10CM R10.9"  # both of the shipped abdominal pain
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3)]
    events = [event(label, patient="p1"), event(other, patient="p2"), event((label, other), patient="p3")]
    rule = {"sets": {"test": {"codes": [label]}, "cough": {"codes": [COUGH]}}, "label": {"set": "test"}}
    rule |= {"findings": {"builtin": ["C0000737"], "sets": {"cough": "cough"}}, "grades": {}}
    found = extract(check(DEFINITION | rule, Definition, "flu.toml"), Memory(encounters, events))
    assert found.labels.tolist() == [1, 0, 1]
    assert found.findings["C0000737"].tolist() == [UNKNOWN, PRESENT, UNKNOWN]
    assert found.decisions[LABELS] == 2


def test_local_concepts_are_never_the_label_s_codes():
    both = event(("LOINC 80382-5", "local:lab FLU"), answer="Positive")
    below = event("LOINC 80383-3", answer="Positive")
    local = {"findings": {"local": {"most": 5, "at_least": 1}}}
    records = Memory([encounter()], [TEST, both, below], below={"LOINC 80382-5": ["LOINC 80383-3"]})
    found = extract(definition(**local), records, unmapped=True)
    assert (found.labels.tolist(), found.local, found.unmapped) == ([1], [], [])


def test_local_concepts_are_the_most_frequent_codes_in_no_set():
    encounters = [encounter(f"e{n}", f"p{n}") for n in (1, 2, 3)]
    events = [event(patient=f"p{n}", answer="Negative", time="2008-03-06") for n in (1, 2, 3)]
    events += [event("local:lab FEB", patient=f"p{n}", text="felt hot") for n in (1, 2, 3)]
    events += [event(("local:lab X", "SNOMED 1"), patient=f"p{n}", absent=n == 2) for n in (1, 2)]
    events += [event("SNOMED 2", patient="p1"), event("SNOMED 2", patient="p1")]
    events += [event("SNOMED 3", patient=f"p{n}", time="2008-03-07") for n in (1, 2, 3)]  # after the label
    found = run(encounters, events, findings={"local": {"most": 5, "at_least": 2}})
    assert [(local.code, local.text, local.encounters) for local in found.local] == [
        ("lab:FEB", "felt hot", 3),
        ("SNOMED:1", "1", 2),
    ]
    assert found.findings["SNOMED:1"].tolist() == [PRESENT, ABSENT, UNKNOWN]
    fewer = run(encounters, events, findings={"local": {"most": 1, "at_least": 1}})
    assert list(fewer.findings) == ["fever", "cough", "lab:FEB"]


def test_a_local_concept_is_named_by_its_best_known_code():
    both = event(("ICD10CM Z1", "SNOMED 4", "local:A 1"), text="four")
    found = one(both, findings={"local": {"most": 1, "at_least": 1}})
    assert [local.code for local in found.local] == ["SNOMED:4"]


def test_unmapped_codes_are_counted_when_they_are_asked_for():
    records = Memory([encounter()], [TEST, event("SNOMED 5", text="five")])
    found = extract(definition(), records, unmapped=True)
    assert [(code.code, code.text, code.encounters) for code in found.unmapped] == [("SNOMED:5", "five", 1)]


def test_events_that_name_another_encounter_are_counted():
    both = [encounter(), encounter("e2", start="2008-03-05T13:00"), encounter("e3", start="2008-09-01")]
    events = [event(FEVER, encounter="e2"), event(FEVER, encounter="01"), event(COUGH, encounter="e3"), event(FEVER)]
    assert one(*events, encounters=both).decisions[ELSEWHERE] == 2


def test_patients_that_events_spell_otherwise_are_an_error():
    with pytest.raises(CohortError, match="none with a code of some set is of a patient with an encounter") as error:
        run([encounter(patient="007")], [event(FEVER, patient="7")], label={"otherwise": "negative"})
    assert "007" not in str(error.value).replace("such as 7 or 007", "")
    assert len(run([encounter()], [], label={"otherwise": "negative"}).labels) == 1
    assert len(run([encounter(None)], [TEST], label={"otherwise": "negative"}).labels) == 0


AGES = {"agegroup": {"cuts": [6, 65], "names": ["ls5", "ge6ls65", "ge64"]}}
NO_AGE = "births not known, after an encounter's start, or more than 150 years before: age taken as unknown"


@pytest.mark.parametrize(
    ("changes", "counted", "stay"),
    [({}, 1, 3), ({"ages": AGES}, 2, 3), ({"index": {"age": [0, 120]}}, 2, 1)],
)
def test_births_that_are_not_known_are_counted_where_ages_matter(changes, counted, stay):
    births = ["1990-01-01", None, "2010-01-01"]
    encounters = [encounter(f"e{n}", birth=birth) for n, birth in enumerate(births)]
    found = one(encounters=encounters, **changes)
    assert (found.decisions[NO_AGE], len(found.labels)) == (counted, stay)


def test_units_that_may_be_other_cells_are_not_repeated():
    units = ["Meier", "Meier, Anna", "grad", "20080305"]
    events = [event(HEAT, number=37.0, unit=unit) for unit in ["Meier", "20080305", *["grad", "Meier, Anna"] * 11]]
    with pytest.raises(CohortError, match=r'13 in what may be no unit, and so is not repeated here, 11 in "grad"') as e:
        one(*events)
    assert not any(unit in str(e.value) for unit in units if unit != "grad")
