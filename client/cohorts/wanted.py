"""What is to be read of a site's file: which columns, which keys of the site file name them, what their cells mean."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from client.cohorts.cells import Reading, spell
from client.cohorts.columns import Meaning

if TYPE_CHECKING:  # the site file is made of this package's sections, so that the import would go round
    from pathlib import Path

    from client.site_file import Site


@dataclass(frozen=True)
class Wanted:
    """The columns to read from a file.

    Attributes
    ----------
    keys : dict of str to str
        For each column, the key of the site file that names it.
    meanings : dict of str to callable
        For each column whose cells are read, what tells them apart.
    ids : dict of str to int
        The columns that name an encounter or a patient, and the seed of the draws.
    """

    keys: dict[str, str]
    meanings: dict[str, Meaning]
    ids: dict[str, int]


def find_wanted(site: Site, path: Path) -> Wanted:
    """Give the columns to read from a file of the site: of a test file, not that of the split."""
    section, plan = site.file.cohort, site.file.split
    ids = {column: plan.seed for column in (section.id, section.patient) if column is not None}
    keys = {} if section.id is None else {section.id: "cohort.id"}
    keys |= {} if section.patient is None else {section.patient: "cohort.patient"}
    keys |= {label.column: f"cohort.{key}.column" for key, label in section.predicted().items()}
    keys |= {source.column: source.key for source in site.sources}
    readings: dict[str, Reading] = {label.column: label.read for label in section.predicted().values()}
    readings |= {source.column: source.read for source in site.sources}
    if plan.column is not None and path == site.files[0]:
        keys.setdefault(plan.column, "split.column")
        readings[plan.column] = plan.read
    for column in section.where:
        keys.setdefault(column, "cohort.where")
    allowed = {column: {spell(word) for word in words} for column, words in section.where.items()}
    meanings: dict[str, Meaning] = {
        column: partial(_meaning, readings.get(column), allowed.get(column, ()))
        for column in keys
        if column in readings or column in allowed
    }
    return Wanted(keys, meanings, ids)


def _meaning(reading: Reading | None, allowed: Collection[str], cell: str) -> Hashable:
    """Give all that is asked of a cell: what it stands for, and which of the words of ``where`` it is."""
    return reading(cell) if reading else None, cell if cell in allowed else None
