"""Answers that say that a finding is not there, the same for every kind of records."""

from __future__ import annotations

from collections.abc import Iterable

ABSENT = (
    "SNOMED 2667000",  # Absent
    "SNOMED 260385009",  # Negative
    "SNOMED 260415000",  # Not detected
    "SNOMED 373067005",  # No
    "SNOMED 410516002",  # Known absent
    "LOINC LA32-8",  # No
    "LOINC LA6577-6",  # Negative
    "LOINC LA9634-2",  # Absent
    "LOINC LA11883-8",  # Not detected
    "http://terminology.hl7.org/CodeSystem/v2-0136 N",  # No
    "http://terminology.hl7.org/CodeSystem/v2-0532 N",  # No
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation NEG",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation ND",  # Not detected
    "absent",
    "negative",
    "no",
    "not detected",
)
"""What the key ``absent`` of ``[records]`` replaces: "SYSTEM code", or a text, whatever its case."""


def fold(answers: Iterable[str]) -> frozenset[str]:
    """Give answers as `means_absent` compares them."""
    return frozenset(map(_plain, answers))


def means_absent(answer: str, absent: frozenset[str]) -> bool:
    """Say whether an answer is one of those that `fold` gave."""
    return _plain(answer) in absent


def _plain(answer: str) -> str:
    return " ".join(answer.casefold().split())
