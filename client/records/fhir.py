"""A FHIR R4 bulk export: a folder of NDJSON files, as the export's operation writes them, plain or with gzip.

Every file is read once for the births of the patients and for the types of resources that it holds, then those with
encounters, then those with events. Memory grows with the number of patients in the export, by about 50 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import Field

from client.records import fhir_encounters, fhir_events
from client.records.answers import ABSENT, fold
from client.records.clock import Clock
from client.records.contract import Account, Codebook, Coding, Expansion
from client.records.fhir_births import Births, Survey
from client.records.fhir_encounters import read_encounter
from client.records.fhir_events import KINDS, EventReader
from client.records.fhir_lines import Faults, files, resources
from client.records.fhir_parts import MalformedError, References
from client.records.fhir_values import ValueReader
from common.errors import CohortError
from common.toml import Declared, resolve

BATCH = 50_000  # rows
EMPTY = "files of the export that hold nothing"
NOT_READ = "resources of types that are not read: left out"
_READ = frozenset({"Patient", "Encounter", *KINDS})


class FhirSection(Declared):
    """``[records]`` of ``kind = "fhir"``.

    Attributes
    ----------
    folder : str
        Of the export; relative to the site file.
    timezone : str, optional
        See `clock.Clock`.
    absent : tuple of str
        Answers that say that a finding is not there: "SYSTEM code", or a text.
    condition_time : str
        Which time of a condition counts where it has both: of its onset or of its record.
    systems : dict of str to str
        The site's own names of code systems, by the URL or OID that the export gives.
    """

    kind: Literal["fhir"]
    folder: str
    timezone: str | None = None
    absent: tuple[str, ...] = ABSENT
    condition_time: Literal["onset", "recorded"] = "onset"
    systems: dict[str, str] = Field(default_factory=dict)


class FhirRecords:
    """The records of a bulk export; see `contract.Records`."""

    def __init__(self, section: FhirSection, folder: Path) -> None:
        self.codebook = Codebook()
        self.account = Account()
        self._section = section
        self._files = files(folder)
        self._folder = folder
        self._clock = Clock(section.timezone, self.account)
        self._references = References()
        self._held: dict[Path, set[str]] = {}  # types of resources, by file
        self._births: Births | None = None

    def encounters(self) -> Iterator[pa.RecordBatch]:
        """Give every encounter that was held."""
        births = self._survey()
        if not any("Encounter" in held for held in self._held.values()):
            raise CohortError(f"{self._folder}: no Encounter in any file; export Encounter, Patient and the findings")
        for path in self._files:
            if "Encounter" in self._held[path]:
                yield from self._encounters_of(path, births)

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        """Give conditions, observations and their components, procedures, immunisations and medications."""
        self._survey()
        section = self._section
        values = ValueReader(self.account, section.systems, fold(section.absent))
        recorded = section.condition_time == "recorded"
        reader = EventReader(self.codebook, self.account, self._references, section.systems, wanted, values, recorded)
        for path in self._files:
            if not self._held[path].isdisjoint(KINDS):
                yield from self._events_of(path, reader)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        """Say that each code stands for itself: an export has no hierarchy."""
        alone = {coding: frozenset({coding}) for coding in codings}
        return Expansion(alone, flat=frozenset(coding.system for coding in codings))

    def _survey(self) -> Births:
        """Read every file once, if that was not done yet."""
        if self._births is None:
            self._births = Births(chunk for path in self._files for chunk in self._births_of(path))
        return self._births

    def _births_of(self, path: Path) -> Iterator[Any]:
        survey = Survey(path, _READ)
        yield from survey.births(self._clock, self.account)
        self._held[path] = survey.held
        self.account.add(NOT_READ, survey.others)
        self.account.add(EMPTY, int(not survey.held and not survey.others))

    def _encounters_of(self, path: Path, births: Births) -> Iterator[pa.RecordBatch]:
        faults = Faults(path)
        rows: list[fhir_encounters.Row] = []
        for line, resource in resources(path, frozenset({"Encounter"}), faults):
            try:
                row = read_encounter(line, resource, self._references, self.account)
            except MalformedError as malformed:
                faults.add(str(malformed), line)
                continue
            rows += [row] if row is not None else []
            if len(rows) >= BATCH:
                yield fhir_encounters.batch(rows, births, self._clock, self.account, faults, path.name)
                rows = []
        yield fhir_encounters.batch(rows, births, self._clock, self.account, faults, path.name)
        faults.raise_if_any()

    def _events_of(self, path: Path, reader: EventReader) -> Iterator[pa.RecordBatch]:
        faults = Faults(path)
        for line, resource in resources(path, frozenset(KINDS), faults):
            try:
                reader.take(line, resource)
            except MalformedError as malformed:
                faults.add(str(malformed), line)
            if len(reader.rows) >= BATCH:
                yield fhir_events.batch(reader.rows, self._clock, faults, path.name)
                reader.rows.clear()
        yield fhir_events.batch(reader.rows, self._clock, faults, path.name)
        reader.rows.clear()
        faults.raise_if_any()


def open_records(section: FhirSection, folder: Path) -> FhirRecords:
    """Open an export.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        The folder holds no file of an export.
    ConfigError
        There is no such time zone.
    """
    return FhirRecords(section, resolve(section.folder, folder))
