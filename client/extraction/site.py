"""A site file whose table is extracted from records: what it says, and the sections that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from client.cohorts.concepts import find_sources
from client.cohorts.labels import Label
from client.cohorts.section import CohortSection
from client.cohorts.spelling import Findings, Spelling
from client.cohorts.splits import SplitPlan
from client.extraction.builtin_sets import builtin_sets
from client.extraction.definition import ENCOUNTER, LABEL, PATIENT, Definition, read_definition
from client.extraction.measures import AgeRule, GradeRule
from client.extraction.output import Origin, read_origin
from client.policy import Policy
from client.records.section import read_section
from common.concepts import ABSENT, PRESENT, builtin_concepts
from common.errors import CohortError, ConfigError, Problems
from common.toml import Declared, read_toml, resolve

_KEYS = ("definition", "file")


class DefinedCohort(Declared):
    """The section ``[cohort]`` where a definition says what the columns mean."""

    definition: str
    file: str

    @model_validator(mode="before")
    @classmethod
    def _nothing_else(cls, value: Any) -> Any:
        others = [key for key in value if key not in _KEYS] if isinstance(value, dict) else []
        if others:
            raise ValueError(f"{', '.join(others)} is not read beside cohort.definition, which says it all; remove it")
        return value

    @field_validator("file")
    @classmethod
    def _parquet(cls, value: str) -> str:
        if not value.lower().endswith(".parquet"):
            raise ValueError(f'"{value}": expected a name that ends in .parquet')
        return value


class DefinedSiteFile(Declared):
    """A site file with records and a definition, as it is written; the definition says how to split."""

    name: str
    cohort: DefinedCohort
    records: Declared | None = None
    tables: dict[str, str] = Field(default_factory=dict)
    policy: Policy = Policy()

    @model_validator(mode="before")
    @classmethod
    def _no_split(cls, value: Any) -> Any:
        if isinstance(value, dict) and "split" in value:
            raise ValueError("split is not read beside cohort.definition, which has a [split] of its own; remove it")
        return value

    @field_validator("records", mode="plain")
    @classmethod
    def _of_some_kind(cls, value: Any) -> Declared:
        return read_section(value)


def read_sections(file: DefinedSiteFile, folder: Path) -> tuple[CohortSection, SplitPlan]:
    """Give the sections that a definition and the table extracted by it stand for.

    Raises
    ------
    ConfigError
        The definition is not right.
    CohortError
        There is no table, or another definition made it.
    """
    definition = read_definition(resolve(file.cohort.definition, folder))
    path = resolve(file.cohort.file, folder)
    origin = read_origin(path)
    if origin.digest != definition.digest():
        named = f'"{origin.definition}"' if origin.definition != definition.name else "this one before it was changed"
        again = "extract it again: sitebridge site extract"
        raise CohortError(f"{path.name}: made by another definition, {named}, than {file.cohort.definition}; {again}")
    return cohort_section(definition, file.cohort.file, origin), definition.split.plan()


def cohort_section(definition: Definition, file: str, origin: Origin) -> CohortSection:
    """Give the section ``[cohort]`` that describes the extracted table."""
    codes = (*definition.finding_codes(), *origin.local)
    spelling = Spelling(present=(PRESENT,), absent=(ABSENT,), unknown=("",))
    known = {*codes, *definition.grades, *definition.ages}
    texts = _texts(definition) | origin.local
    rules: dict[str, GradeRule | AgeRule] = {**definition.grades, **definition.ages}
    return CohortSection(
        file=file,
        id=ENCOUNTER,
        patient=PATIENT,
        label=Label(column=LABEL, positive=("1",), negative=("0",)),
        findings=Findings(spelling=spelling, columns={code: code for code in codes}) if codes else None,
        texts={code: text for code, text in texts.items() if code in known},
        grades={code: rule.column(code) for code, rule in rules.items()},
    )


def check_texts(definition: Definition, path: Path) -> None:
    """Check before anything is read that every value of every concept has words.

    Raises
    ------
    ConfigError
        Names what has none.
    """
    problems = Problems(str(path))
    if definition.finding_codes() or definition.grades or definition.ages:
        find_sources(cohort_section(definition, "", Origin("", "", "")), (), problems)
    problems.lines = [line.replace("cohort.grades.", "").replace(" to cohort.", " to ") for line in problems.lines]
    problems.raise_if_any(ConfigError)


def read_source(path: Path) -> tuple[DefinedSiteFile, Definition, Declared]:
    """Read the site file, the definition and the records' section, to extract by them.

    Raises
    ------
    ConfigError
        One of them is not right, or the site file names no definition or no records.
    """
    file = read_toml(path, DefinedSiteFile)
    if file.records is None:
        raise ConfigError(f"{path}: key records is missing; say where the records are, such as [records] kind = ...")
    where = resolve(file.cohort.definition, path.parent)
    definition = read_definition(where)
    check_texts(definition, where)
    return file, definition, file.records


def _texts(definition: Definition) -> dict[str, str]:
    """Give words for the codes of shipped sets that are no shipped concepts, and the definition's own."""
    concepts, shipped = builtin_concepts(), builtin_sets()
    known = {code: found.text for code, found in shipped.items() if code not in concepts}
    return known | definition.texts
