"""Concept sets against what the records know."""

from __future__ import annotations

import pytest
from made_records import Memory, definition

from client.extraction.codes import parse_code
from client.extraction.sets import Matcher, resolve, wanted
from client.records.contract import Codebook, Coding
from common.errors import ConfigError


def members(rule, codes, records=None):
    """Say which codes are in the set that finding "x" uses."""
    made = definition(sets={"x": rule}, findings={"sets": {"x": "x"}})
    sets = resolve(made, records or Memory([], []))
    codebook = Codebook()
    for code in codes:
        codebook.number(map(parse_code, (code,) if isinstance(code, str) else code))
    matcher = Matcher(sets, codebook)
    inside = matcher.member()[matcher.names.index("x")]
    return [code for number, code in enumerate(codes) if inside[number]]


def test_icd_codes_hold_what_begins_with_them():
    codes = ["ICD10CM R50", "ICD10CM R50.9", "ICD10CM R509", "ICD10CM R5", "ICD10 R50.9", "SNOMED R50"]
    assert members({"codes": ["ICD10CM R50"]}, codes) == codes[:3]
    assert members({"codes": ["ICD10CM R50"], "descendants": False}, codes) == codes[:1]


def test_what_is_taken_away_takes_what_lies_below_it():
    codes = ["ICD10CM R50.8", "ICD10CM R50.81", "ICD10CM R50.9"]
    assert members({"codes": ["ICD10CM R50"], "without": ["ICD10CM R50.8"]}, codes) == codes[2:]


def test_the_records_hierarchy_is_taken():
    records = Memory([], [], below={"SNOMED 1": ["SNOMED 2", "SNOMED 3"], "SNOMED 3": []})
    rule = {"codes": ["SNOMED 1"], "without": ["SNOMED 3"]}
    assert members(rule, ["SNOMED 1", "SNOMED 2", "SNOMED 3", "SNOMED 4"], records) == ["SNOMED 1", "SNOMED 2"]


def test_where_the_records_have_a_hierarchy_of_icd_it_is_taken_alone():
    records = Memory([], [], below={"ICD10CM R50": ["ICD10CM R50.9"]})
    assert members({"codes": ["ICD10CM R50"]}, ["ICD10CM R50.8", "ICD10CM R50.9"], records) == ["ICD10CM R50.9"]


def test_an_entry_with_several_codes_needs_one_of_them():
    codes = [("local:x 9", "SNOMED 1"), ("SNOMED 1", "SNOMED 2"), "local:x 9"]
    assert members({"codes": ["SNOMED 1"], "without": ["SNOMED 2"]}, codes) == codes[:1]


def test_a_code_without_a_stated_system_is_in_a_set_of_local_codes_alone():
    assert members({"codes": ["SNOMED 1", "local: 2"]}, ["local: 1", "local: 2"]) == ["local: 2"]


def test_a_matcher_grows_with_the_codebook():
    codebook = Codebook()
    matcher = Matcher(resolve(definition(), Memory([], [])), codebook)
    for number in range(3000):
        codebook.number([Coding("SNOMED", str(number))])
        matcher.member()
    codebook.number([Coding("SNOMED", "49727002")])
    member = matcher.member()
    assert member[matcher.names.index("cough")].sum() == 1
    assert member[matcher.names.index("cough"), 3000]


def test_codes_that_the_vocabulary_lacks_are_an_error_that_lists_them():
    known = ["LOINC 80382-5", "LOINC 8310-5", "SNOMED 49727002"]
    records = Memory([], [], known=known)
    sets = {"fever": {"codes": ["ICD10CM R50", "ICD10CM X99"], "without": ["SNOMED 7"]}}
    with pytest.raises(ConfigError) as error:
        resolve(definition(sets=sets), records)
    assert 'fever: the records\' vocabulary does not have "ICD10CM R50", "ICD10CM X99", "SNOMED 7"' in str(error.value)
    assert 'say sets.fever.missing_codes = "leave out"' in str(error.value)


def test_codes_that_the_vocabulary_lacks_may_be_left_out_and_are_counted():
    records = Memory([], [], known=["LOINC 80382-5", "LOINC 8310-5", "SNOMED 49727002"])
    resolve(definition(sets={"fever": {"codes": ["ICD10CM R50"], "missing_codes": "leave out"}}), records)
    assert records.account.counts["codes of the set fever that the records' vocabulary lacks: left out"] == 1


def test_codes_of_shipped_sets_that_the_vocabulary_lacks_are_counted():
    records = Memory([], [], known=["LOINC 80382-5", "LOINC 8310-5", "SNOMED 49727002", "ICD10CM R50"])
    resolve(definition(findings={"builtin": ["C0000737"]}), records)
    assert records.account.counts["codes of built-in sets that the records' vocabulary lacks: left out"] > 0


def test_a_hierarchy_that_is_missing_is_told():
    records = Memory([], [], below={"LOINC 8310-5": []})
    resolve(definition(), records)
    counts = records.account.counts
    assert counts["SNOMED codes, no hierarchy in the records: stand for themselves alone"] == 1
    assert counts["ICD10CM codes, no hierarchy in the records: taken with all that begin so"] == 1
    assert not any(words.startswith("LOINC") for words in counts)


def test_only_what_is_needed_is_asked_of_the_records():
    below = {"LOINC 8310-5": [], "SNOMED 49727002": ["SNOMED 5"]}
    sets = resolve(definition(), Memory([], [], below=below))
    codes = ["LOINC 80382-5", "ICD10CM R50", "SNOMED 49727002", "SNOMED 5", "LOINC 8310-5"]
    assert wanted(sets, all_codes=False) == frozenset(map(parse_code, codes))
    assert wanted(sets, all_codes=True) is None


NUMBER = {"set": "temperature", "above": 38.0, "unit": "Cel"}
LEAKS = [
    ({"sets": {"cough": {"codes": ["SNOMED 1", "LOINC 80382-5"]}}}, "findings.sets.cough", "cough", "LOINC 80382-5"),
    ({"sets": {"cough": {"codes": ["SNOMED 1"]}}}, "findings.sets.cough", "cough", "LOINC 9"),
    ({"sets": {"temperature": {"codes": ["LOINC 9"]}}}, "grades.heat.set", "temperature", "LOINC 9"),
    (
        {"sets": {"temperature": {"codes": ["LOINC 9"]}}, "findings": {"numbers": {"hot": NUMBER}}},
        "findings.numbers.hot.set",
        "temperature",
        "LOINC 9",
    ),
    ({"sets": {"fever": {"codes": ["ICD10CM J1"]}}}, "findings.sets.fever", "fever", "ICD10CM J10.1"),
    ({"sets": {"fever": {"codes": ["ICD10CM J10.11"]}}}, "findings.sets.fever", "fever", "ICD10CM J10.11"),
]


@pytest.mark.parametrize(("change", "key", "name", "code"), LEAKS)
def test_a_finding_that_shares_a_code_with_the_label_is_an_error(change, key, name, code):
    below = {"LOINC 80382-5": ["LOINC 9"], "SNOMED 1": ["LOINC 9"]}
    label = {"test": {"codes": ["LOINC 80382-5", "ICD10CM J10.1"]}}
    rule = definition(**{**change, "sets": change["sets"] | label})
    with pytest.raises(ConfigError) as error:
        resolve(rule, Memory([], [], below=below))
    assert f'{key}: the set "{name}" and the label\'s set "test" both have "{code}"' in str(error.value)
    assert f"take it out by sets.{name}.without" in str(error.value)


def test_a_code_of_the_label_that_is_taken_out_is_no_leak():
    sets = {
        "test": {"codes": ["ICD10CM J10.1"]},
        "fever": {"codes": ["ICD10CM J10"], "without": ["ICD10CM J10.1"]},
        "cough": {"codes": ["LOINC 80382-5"]},
    }
    assert "fever" in resolve(definition(sets=sets), Memory([], []))


def test_what_is_required_may_be_the_label_s():
    sets = {"flu": {"codes": ["LOINC 80382-5"]}}
    assert "flu" in resolve(definition(sets=sets, index={"require": ["flu"]}), Memory([], []))


def test_shipped_findings_may_share_codes_with_the_label():
    sets = {"test": {"builtin": ["C0000737"]}}
    assert "builtin C0000737" in resolve(definition(sets=sets, findings={"builtin": ["C0000737"]}), Memory([], []))
