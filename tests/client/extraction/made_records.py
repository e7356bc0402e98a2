"""Records in memory, and a definition to extract from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from client.extraction.codes import parse_code
from client.extraction.definition import Definition
from client.records.contract import ENCOUNTERS, EVENTS, Account, Codebook, Coding, Expansion
from common.toml import check

DEFINITION: dict[str, Any] = {
    "name": "flu",
    "window": {"before": "24h", "after": "72h"},
    "sets": {
        "test": {"codes": ["LOINC 80382-5"]},
        "fever": {"codes": ["ICD10CM R50"]},
        "cough": {"codes": ["SNOMED 49727002"]},
        "temperature": {"codes": ["LOINC 8310-5"]},
    },
    "label": {"set": "test", "positive": ["Positive", "SNOMED 10828004"], "negative": ["Negative"]},
    "findings": {"sets": {"fever": "fever", "cough": "cough"}},
    "grades": {"heat": {"set": "temperature", "unit": "Cel", "cuts": [38, 40], "names": ["I", "A", "P"]}},
    "split": {"by": "date", "test_from": "2009-01-01"},
}
DEFINITION["grades"]["heat"]["texts"] = {"I": "no fever", "A": "a fever", "P": "a high fever"}


def definition(**changes: Any) -> Definition:
    """Give the definition above with other sections; a section given as a dict is laid over the one above."""
    content = dict(DEFINITION)
    for name, value in changes.items():
        old = content.get(name)
        content[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return check(content, Definition, "flu.toml")


def encounter(encounter: str | None = "e1", patient: str | None = "p1", start: str | None = "2008-03-05T12:00", **more):
    return {"encounter": encounter, "patient": patient, "start": start, **more}


def event(code: str = "LOINC 80382-5", time: str | None = "2008-03-05T13:00", patient: str | None = "p1", **more):
    return {"code": code, "patient": patient, "time": time, **more}


class Memory:
    """Records that were made up for a test; see `contract.Records`."""

    def __init__(
        self,
        encounters: list[dict[str, Any]],
        events: list[dict[str, Any]],
        batch: int = 3,
        below: Mapping[str, list[str]] | None = None,
        known: list[str] | None = None,
    ) -> None:
        self.codebook, self.account = Codebook(), Account()
        self._encounters, self._events, self._batch = encounters, events, batch
        self._below = {parse_code(code): frozenset(map(parse_code, codes)) for code, codes in (below or {}).items()}
        self._known = None if known is None else frozenset(map(parse_code, known))
        self.wanted: list[frozenset[Coding] | None] = []

    def encounters(self) -> Iterator[pa.RecordBatch]:
        yield from self._batches([_row(row, ENCOUNTERS) for row in self._encounters], ENCOUNTERS)

    def events(self, wanted: frozenset[Coding] | None) -> Iterator[pa.RecordBatch]:
        self.wanted.append(wanted)
        for start in range(0, len(self._events), self._batch):
            rows = self._events[start : start + self._batch]
            numbered = [{**row, "entry": self._entry(row["code"], row.get("text", ""))} for row in rows]
            yield from self._batches([_row(row, EVENTS) for row in numbered], EVENTS)

    def expand(self, codings: frozenset[Coding]) -> Expansion:
        found = {coding: frozenset({coding}) | self._below.get(coding, frozenset()) for coding in codings}
        layered = {coding.system for coding in self._below}
        unknown = frozenset() if self._known is None else codings - self._known
        return Expansion(found, unknown, frozenset(coding.system for coding in codings) - layered)

    def _entry(self, code: str | tuple[str, ...], text: str) -> int:
        codes = (code,) if isinstance(code, str) else code
        return self.codebook.number(map(parse_code, codes), text)

    def _batches(self, rows, schema) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), self._batch):
            yield pa.RecordBatch.from_pylist(rows[start : start + self._batch], schema=schema)


def _row(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    full = {field.name: row.get(field.name) for field in schema}
    full |= {name: None if full[name] is None else datetime.fromisoformat(full[name]) for name in times}
    if "until" in full and full["until"] is None:
        full["until"] = full["time"]
    return full
