"""From the declared columns to concepts: what each column is called, and how its cells are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from client.cohorts.categories import Category
from client.cohorts.cells import Reading
from client.cohorts.grades import Grade
from client.cohorts.section import CohortSection
from common.concepts import UNKNOWN, Concept, builtin_concepts
from common.errors import Problems


@dataclass(frozen=True)
class Source:
    """Where a concept comes from.

    Attributes
    ----------
    concept : Concept
    column : str
        The column that holds it.
    key : str
        The part of the site file that names the column.
    read : callable
        Gives the name of the value that a cell stands for, or the fault in it.
    """

    concept: Concept
    column: str
    key: str
    read: Reading


def find_sources(section: CohortSection, others: Sequence[str], problems: Problems) -> tuple[Source, ...]:
    """Give the concepts in the order of the site file: findings, then categories, then grades.

    Parameters
    ----------
    others : sequence of str
        The columns that ``columns = "others"`` means; not looked at otherwise.
    problems : Problems
        Told about concepts without words, and words without a concept.
    """
    builtin = builtin_concepts()
    found = [*_findings(section, others, builtin, problems)]
    for kind, declared in (("categories", section.categories), ("grades", section.grades)):
        for code, part in declared.items():
            concept = _graded(code, part, section, builtin.get(code), f"cohort.{kind}.{code}", problems)
            found.append(Source(concept, part.column, f"cohort.{kind}.{code}.column", part.read))
    _check_names(section, found, problems)
    return tuple(found)


def _findings(
    section: CohortSection, others: Sequence[str], builtin: dict[str, Concept], problems: Problems
) -> Iterator[Source]:
    findings = section.findings
    if findings is None:
        return
    columns = findings.columns if isinstance(findings.columns, dict) else {name: name for name in others}
    for column, code in columns.items():
        if code in builtin and builtin[code].values and code not in section.texts:
            where = f"[cohort.categories.{code}] or [cohort.grades.{code}]"
            problems.add(f'cohort.findings: "{code}" has values of its own, not P, A and M; declare it in {where}')
        yield Source(Concept(code, _text(code, section, builtin)), column, "cohort.findings.columns", findings.read)


def _graded(
    code: str,
    part: Category | Grade,
    section: CohortSection,
    known: Concept | None,
    key: str,
    problems: Problems,
) -> Concept:
    """Give a category or grades with a sentence for each value: the site's own, else the built-in one."""
    sentences = {**(known.values if known else {}), **part.texts}
    names = tuple(dict.fromkeys(part.names))
    silent = [name for name in names if name not in sentences]
    if silent:
        problems.add(f"{key}: no sentence for {', '.join(silent)}; add each to {key}.texts")
    said = {name: sentences.get(name, name) for name in (*names, UNKNOWN) if name in names or name in sentences}
    return Concept(code, _text(code, section, {code: known} if known else {}), said)


def _text(code: str, section: CohortSection, builtin: dict[str, Concept]) -> str:
    if code in section.texts:
        return section.texts[code]
    return builtin[code].text if code in builtin else code.replace("_", " ").replace("-", " ")


def _check_names(section: CohortSection, found: list[Source], problems: Problems) -> None:
    codes = {source.concept.code for source in found}
    stray = [code for code in section.texts if code not in codes]
    if stray:
        problems.add(f"cohort.texts: no column is declared for {', '.join(stray[:10])}; {len(stray)} in all")
    tokens: dict[str, str] = {}
    for source in found:
        for token in source.concept.tokens():
            if tokens.setdefault(token.name, source.concept.code) != source.concept.code:
                both = f'"{tokens[token.name]}" and "{source.concept.code}"'
                problems.add(f'cohort: the concepts {both} both give the token "{token.name}"; rename one')
