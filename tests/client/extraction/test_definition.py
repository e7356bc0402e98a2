"""A cohort's definition: what a good one says, and each way in which one is wrong."""

from __future__ import annotations

import pytest
from made_records import DEFINITION, definition

from client.extraction.codes import parse_code, plain, written
from client.extraction.definition import Definition, findings_built_in
from client.extraction.durations import parse_duration
from client.records.contract import Coding
from common.errors import ConfigError
from common.toml import check


def test_the_example_of_the_docs_is_right():
    from pathlib import Path

    from client.extraction.definition import read_definition
    from client.extraction.site import check_texts

    path = Path(__file__).parents[3] / "configs" / "flu-records" / "flu.cohort.toml"
    check_texts(read_definition(path), path)


def test_codes():
    assert parse_code("icd10cm R50.9") == Coding("ICD10CM", "R50.9")
    assert parse_code("local:http://here.org/lab GLU 2") == Coding("http://here.org/lab", "GLU 2")
    assert parse_code("local: FEB") == Coding("", "FEB")
    assert [written(parse_code(code)) for code in ("SNOMED 1", "local:x 1")] == ["SNOMED 1", "local:x 1"]
    assert plain(Coding("ICD10CM", "r50.9")) == plain(Coding("ICD10CM", "R509"))
    assert plain(Coding("SNOMED", "1.x")) == Coding("SNOMED", "1.x")


def test_durations():
    assert (parse_duration("24h"), parse_duration("1d")) == (86_400_000_000, 86_400_000_000)


def test_comments_do_not_change_the_digest_but_content_does():
    assert definition().digest() == definition().digest()
    assert definition().digest() != definition(window={"after": "73h"}).digest()


def test_built_in_findings_are_those_with_codes_that_are_not_declared_otherwise():
    every = findings_built_in()
    assert "C0000737" in every
    assert "C0424781" not in every
    assert "agegroup" not in every
    own = definition(findings={"builtin": True, "sets": {"C0000737": "cough"}})
    assert own.built_in_findings() == tuple(code for code in every if code != "C0000737")
    assert own.finding_codes() == (*own.built_in_findings(), "C0000737")


def test_a_number_may_add_to_a_finding_s_codes():
    hot = {"set": "temperature", "above": 38.0, "unit": "Cel"}
    assert definition(findings={"numbers": {"fever": hot}}).finding_codes() == ("fever", "cough")


HOT = {"set": "temperature", "unit": "Cel"}
GRADE = {**HOT, "cuts": [38], "names": ["low", "high"]}
WRONG = [
    ({"window": {"before": "24 hours"}}, 'window.before: "24 hours" is not a length of time; expected whole hours'),
    ({"window": {"before": "end"}}, "before must be a length of time"),
    ({"sets": {"x": {}}}, "sets.x: holds nothing; add codes or builtin"),
    ({"sets": {"x": {"codes": ["SNOMED"]}}}, '"SNOMED" is not a code; expected "SYSTEM code"'),
    ({"sets": {"x": {"codes": ["SNOWMED 1"]}}}, "no code system SNOWMED; expected SNOMED, ICD10CM"),
    ({"sets": {"x": {"codes": ["SNOWMED 1"]}}}, "did you mean SNOMED?"),
    ({"sets": {"x": {"builtin": ["C00007"]}}}, 'builtin: no built-in set "C00007"'),
    ({"sets": {"x": {"code": ["SNOMED 1"]}}}, "unknown key sets.x.code; did you mean sets.x.codes?"),
    ({"sets": {"builtin x": {"codes": ["SNOMED 1"]}}}, 'sets."builtin x": a set\'s name has no space in it'),
    ({"label": {"set": "tset"}}, 'label.set: no set "tset"; did you mean test?'),
    ({"label": {"negative": None}}, "positive and negative go together"),
    ({"label": {"above": 1.0, "unit": "1"}}, "either answers (positive, negative) or a number"),
    ({"label": {"unit": "Cel"}}, "unit, units and range are read only with above or below"),
    ({"label": {"positive": ["x"], "negative": [" X"]}}, '"x" is both positive and negative'),
    ({"findings": {"sets": {"fever": "test"}}}, "is the label's own set; what is predicted cannot be a finding"),
    ({"findings": {"builtin": ["C1"]}}, 'no built-in set "C1"'),
    ({"findings": {"builtin": ["C0000737"], "sets": {"C0000737": "cough"}}}, '"C0000737" is declared twice'),
    ({"findings": {"numbers": {"heat": {**HOT, "above": 1}}}}, "declared twice, under findings.numbers and grades"),
    ({"findings": {"numbers": {"x": HOT}}}, "findings.numbers.x: needs either above or below"),
    ({"findings": {"sets": {"label": "cough"}}}, '"label" cannot be a concept\'s code'),
    ({"findings": {"local": {"most": 0}}}, "findings.local.most"),
    ({"grades": {"g": GRADE | {"unit": "degrees"}}}, '"degrees" is not a UCUM unit'),
    ({"grades": {"g": GRADE | {"names": ["a"]}}}, "1 names for 1 cuts; expected 2 names"),
    ({"grades": {"g": GRADE | {"range": [45, 25]}}}, "range must be the lowest and then the highest number"),
    ({"grades": {"g": GRADE | {"cuts": [60]}}}, "the cut 60 is outside the plausible 25 to 45 (unit Cel)"),
    ({"ages": {"a": {"cuts": [6, 6], "names": ["x", "y", "z"]}}}, "cuts must increase"),
    ({"index": {"from": "2009-01-01", "before": "2009-01-01"}}, "from must be a day earlier than before"),
    ({"index": {"age": [10, 5]}}, "age must be the youngest and then the oldest"),
    ({"index": {"require": ["cough"], "exclude": ["cough"]}}, 'the set "cough" is both required and excluded'),
    ({"texts": {"nothing": "x"}}, 'texts."nothing": no concept has this code'),
    ({"texts": {"fever": " "}}, 'texts."fever" is blank'),
    ({"split": {"test_from": None, "test": 0.2}}, "test is not read with by"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_definition(change, words):
    with pytest.raises(ConfigError) as error:
        definition(**change)
    assert words in str(error.value)


def test_every_mistake_is_named_at_once():
    with pytest.raises(ConfigError, match="3 problems"):
        definition(sets={"x": {}}, window={"before": "1y"}, split={"by": "column"})


def test_a_definition_without_a_concept():
    content = {key: value for key, value in DEFINITION.items() if key not in ("findings", "grades")}
    with pytest.raises(ConfigError, match="declares no concept"):
        check(content, Definition, "flu.toml")
