"""Concepts, their tokens, and the two shipped wordings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.concepts import Concept, Token, builtin_concepts, canonical_text, finding_text
from common.errors import ConfigError

FINDINGS = Path(os.environ.get("SITEBRIDGE_DATA", "")) / "flu-lab" / "findings70.json"

FEVER = Concept("fever", "reported fever")
AGE = Concept("age", "age group", {"young": "a child", "old": "an elderly person"})


@given(st.text())
def test_a_canonical_text_is_its_own_canonical_text(text: str) -> None:
    once = canonical_text(text)
    assert canonical_text(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("influenza-like  illness ", "influenza like illness"),
        ("influenza w/other", "influenza w other"),
        ("38\u201339.9C\u00a0(low)", "38 39.9C (low)"),
        ("non\u2011productive", "non productive"),  # the hyphen at which a line does not break
        ("\uff26ever", "Fever"),  # a full-width letter; case is kept
    ],
)
def test_spellings_that_mean_the_same_become_one(text: str, expected: str) -> None:
    assert canonical_text(text) == expected


def test_a_finding_gives_three_tokens() -> None:
    assert FEVER.tokens() == (
        Token("fever_P", "reported fever"),
        Token("fever_A", "Not reported fever"),
        Token("fever_M", "reported fever not mentioned"),
    )


def test_a_category_gives_its_values_and_unknown() -> None:
    assert AGE.tokens() == (
        Token("age_young", "a child"),
        Token("age_old", "an elderly person"),
        Token("age_M", "age group not mentioned"),
    )


def test_a_value_that_a_concept_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match="concept age has no value 'P'; expected one of young, old, M"):
        AGE.token("P")
    with pytest.raises(ConfigError, match="concept fever has no value 'old'; expected one of P, A, M"):
        FEVER.token("old")
    with pytest.raises(ConfigError, match="a finding has no value 'I'"):
        finding_text("fever", "I")


def test_the_shipped_concepts_are_69_findings_temperature_and_age() -> None:
    concepts = builtin_concepts()
    assert sum(not concept.values for concept in concepts.values()) == 69
    assert list(concepts["C0424781"].values) == ["P", "A", "I", "M"]
    assert list(concepts["agegroup"].values) == ["ls5", "ge6ls65", "ge64"]
    assert concepts["C0521839"].token("A").text == "Not influenza like illness"
    assert sum(len(concept.tokens()) for concept in concepts.values()) == 215


def test_both_wordings_pair_up_and_share_no_text_and_no_code() -> None:
    paper, own = builtin_concepts("paper"), builtin_concepts("own")
    assert list(paper) == list(own)
    assert all(code == concept.code for code, concept in paper.items())
    assert all(len(paper[code].values) == len(own[code].values) for code in paper)
    said = [[t for concept in wording.values() for t in concept.tokens()] for wording in (paper, own)]
    for part in ("name", "text"):
        ours, theirs = ([getattr(token, part).casefold() for token in tokens] for tokens in said)
        assert len(set(ours)) == len(ours) == len(set(theirs)) == len(theirs)
        assert not set(ours) & set(theirs)


def test_a_third_wording_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of paper, own"):
        builtin_concepts("latin")  # type: ignore[arg-type]


@pytest.mark.skipif(not FINDINGS.is_file(), reason="SITEBRIDGE_DATA has no flu-lab/findings70.json")
def test_codes_and_names_are_those_that_the_authors_published() -> None:
    published = {f["cui"]: f["concept_text"] for f in json.loads(FINDINGS.read_text(encoding="utf-8"))["findings"]}
    shipped = builtin_concepts()
    assert set(shipped) == set(published) | {"agegroup"}
    findings = {code: text for code, text in published.items() if code != "C0424781"}
    assert {code: shipped[code].text for code in findings} == {c: canonical_text(t) for c, t in findings.items()}


def test_the_page_of_built_in_concepts_lists_every_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")
    rows = [f"| `{c.code}` | {c.text} |" for c in builtin_concepts().values() if not c.values]
    rows += [
        f"| `{c.code}` | `{name}` | {text} |" for c in builtin_concepts().values() for name, text in c.values.items()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
