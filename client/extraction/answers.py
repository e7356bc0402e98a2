"""Answers in words or codes: how two are compared, and which say neither yes nor no.

Which say no is for the records to know: `client.records.answers`.
"""

from __future__ import annotations

# SNOMED CT: 261665006 Unknown, 373068000 Undetermined, 419984006 Inconclusive, 42425007 Equivocal,
# 82334004 Indeterminate. LOINC answer lists: LA4489-6 Unknown, LA9663-1 Inconclusive, LA11885-3 Equivocal.
_NOTHING = (
    "unknown",
    "not known",
    "not asked",
    "not applicable",
    "not done",
    "undetermined",
    "inconclusive",
    "equivocal",
    "indeterminate",
    "SNOMED 261665006",
    "SNOMED 373068000",
    "SNOMED 419984006",
    "SNOMED 42425007",
    "SNOMED 82334004",
    "LOINC LA4489-6",
    "LOINC LA9663-1",
    "LOINC LA11885-3",
)


def plain_answer(answer: str) -> str:
    """Give the one spelling by which answers are compared: no capitals, one space between words."""
    return " ".join(answer.casefold().split())


NOTHING = frozenset(map(plain_answer, _NOTHING))
