"""The section ``[cohort]`` of a site file."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from client.cohorts.categories import Category
from client.cohorts.cells import clashes, refuse
from client.cohorts.grades import Grade
from client.cohorts.labels import Label
from client.cohorts.spelling import Findings, Words
from common.shape import ModelShape, names_of
from common.toml import Declared


class CohortSection(Declared):
    """The table of encounters, and what its columns mean.

    Attributes
    ----------
    file, test_file : str
        CSV or Parquet; relative to the site file.
    id : str, optional
        Column that names an encounter; no two encounters share one.
    patient : str, optional
        Column that names a patient; draws are then by patient, so that a patient's encounters stay in one part.
    where : dict of str to tuple of str
        Rows to take: allowed cells of each column.
    label : Label, optional
    labels : dict of str to Label
        Instead of it: several labels at once, by name; an encounter that one of them leaves out is left out.
    texts : dict of str to str
        The site's own wording of a concept, by code.
    categories, grades
        By concept code.
    """

    file: str
    test_file: str | None = None
    id: str | None = None
    patient: str | None = None
    where: dict[str, Words] = Field(default_factory=dict)
    label: Label | None = None
    labels: dict[str, Label] = Field(default_factory=dict)
    findings: Findings | None = None
    texts: dict[str, str] = Field(default_factory=dict)
    categories: dict[str, Category] = Field(default_factory=dict)
    grades: dict[str, Grade] = Field(default_factory=dict)

    @field_validator("labels")
    @classmethod
    def _named(cls, labels: dict[str, Label]) -> dict[str, Label]:
        names_of(list(labels), "a table of labels by name")
        return labels

    @model_validator(mode="after")
    def _agree(self) -> CohortSection:
        faults = [*self._twice(), *self._codes_twice(), *self._label_faults()]
        if self.findings is None and not self.categories and not self.grades:
            sections = "[cohort.findings], [cohort.categories.CODE] or [cohort.grades.CODE]"
            faults.append(f"declares no concept; add {sections}")
        for column, words in self.where.items():
            faults += [f'where."{column}": {line}' for line in clashes({"its list": words})]
        faults += [f'texts."{code}" is blank' for code, text in self.texts.items() if not text.strip()]
        refuse("CohortSection", faults)
        return self

    def columns(self) -> Iterator[tuple[str, str]]:
        """Give every column that has one meaning, and the key that names it; ``where`` may name any column."""
        if self.id is not None:
            yield self.id, "id"
        if self.patient is not None:
            yield self.patient, "patient"
        yield from ((label.column, f"{key}.column") for key, label in self.predicted().items())
        if self.findings is not None:
            listed = self.findings.columns if isinstance(self.findings.columns, dict) else {}
            yield from ((column, "findings.columns") for column in listed)
            yield from ((column, "findings.ignore") for column in self.findings.ignore)
        yield from ((category.column, f"categories.{code}.column") for code, category in self.categories.items())
        yield from ((grade.column, f"grades.{code}.column") for code, grade in self.grades.items())

    def predicted(self) -> dict[str, Label]:
        """Give the label, or each of several, by its key in this section."""
        return {"label": self.label} if self.label else {f"labels.{name}": each for name, each in self.labels.items()}

    def shape(self) -> ModelShape:
        """Give the model that predicts what this cohort is labelled with, of default size."""
        if self.labels:
            return ModelShape(labels=tuple(self.labels))
        return ModelShape(classes=tuple(self.label.classes) if self.label and self.label.classes else 2)

    def _label_faults(self) -> list[str]:
        if self.label is None and not self.labels:
            return ["key label is missing; add [cohort.label], or [cohort.labels.NAME] for several labels at once"]
        faults = (
            ["label and labels: an encounter has one label or several; keep one of them"]
            if self.label and self.labels
            else []
        )
        faults += [
            f"labels.{name}.classes: each of several labels is positive or negative; use positive"
            for name, each in self.labels.items()
            if each.classes
        ]
        return faults

    def _twice(self) -> list[str]:
        keys: dict[str, list[str]] = {}
        for column, key in self.columns():
            keys.setdefault(column, []).append(key)
        return [
            f'the column "{column}" is named by {" and ".join(used)}; a column has one meaning'
            for column, used in keys.items()
            if len(used) > 1
        ]

    def _codes_twice(self) -> list[str]:
        listed = self.findings.columns if self.findings and isinstance(self.findings.columns, dict) else {}
        codes = [*listed.values(), *self.categories, *self.grades]
        twice = dict.fromkeys(code for code in codes if codes.count(code) > 1)
        return [f'the concept "{code}" is declared by more than one column; a concept has one column' for code in twice]
