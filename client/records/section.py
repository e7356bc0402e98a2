"""The section ``[records]`` of a site file: which format, and what that format needs to know."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from client.records.contract import Records
from common.toml import Declared

# Module and class of each kind; a module is imported when a site file names its kind.
_KINDS = {
    "tables": ("client.records.tables", "TablesSection"),
    "sql": ("client.records.sql", "SqlSection"),
    "omop": ("client.records.omop", "OmopSection"),
    "fhir": ("client.records.fhir", "FhirSection"),
    "meds": ("client.records.meds", "MedsSection"),
}


def read_section(content: Any) -> Declared:
    """Check the section by its kind.

    Raises
    ------
    ValueError
        There is no such kind, or the section does not fit it.
    """
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}. Got {kind!r} instead")
    module, name = _KINDS[kind]
    section: Declared = getattr(import_module(module), name).model_validate(content)
    return section


def kind_of(section: Declared) -> str:
    """Give the kind of a checked section."""
    kind: str = section.kind  # type: ignore[attr-defined]
    return kind


def open_records(section: Declared, folder: Path) -> Records:
    """Open the records that a checked section names.

    Parameters
    ----------
    folder : Path
        Of the site file.

    Raises
    ------
    CohortError
        They cannot be opened.
    ConfigError
        A library that they need is not installed.
    """
    records: Records = import_module(_KINDS[kind_of(section)][0]).open_records(section, folder)
    return records
