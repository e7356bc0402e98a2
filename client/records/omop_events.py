"""Events of an OMOP database: rows of its tables, turned batch by batch; a concept is looked up once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.contract import EVENTS, Account, Codebook, Coding
from client.records.omop_times import Times
from client.records.omop_values import Cells, Ids, ValueReader, ids_of
from client.records.omop_vocabulary import LOCAL, Concept, Vocabulary
from client.records.table_cells import texts

NO_CODE = "events without a code: left out"
NO_SYSTEM = "events whose code system is not stated: only seen as local codes"
NO_CONCEPT = "events of concepts that the vocabulary tables lack: seen under their other code, if they have one"


@dataclass(frozen=True)
class Wanted:
    """Which events are asked for: by concept, or by source value where they have none."""

    concepts: frozenset[int]
    values: frozenset[str]


@dataclass
class EventReader:
    """Turns rows of the tables of one database into events.

    Attributes
    ----------
    wanted : Wanted or None
        Events of other codes are left away; None keeps all.
    """

    vocabulary: Vocabulary
    times: Times
    values: ValueReader
    codebook: Codebook
    account: Account
    wanted: Wanted | None
    _entries: dict[tuple[int, int, str], tuple[int, str]] = field(default_factory=dict)  # number or -1; what was odd

    def read(self, cells: Cells, where: str) -> pa.RecordBatch:
        """Give events of the schema `EVENTS`.

        Raises
        ------
        CohortError
            A time or number cannot be read; `where` names the table.
        """
        rows = len(cells["person"])
        time, until = self.times.span(cells, "date", "datetime", where)
        entry = self._numbers(cells, where)
        said = self.values.read(cells, where)
        columns = [
            texts(cells["person"], rows),
            texts(cells.get("visit"), rows),
            time,
            until,
            pa.array(entry, pa.int32()),
            pa.array(said.absent),
            said.number,
            said.unit,
            said.answer,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=EVENTS).filter(pa.array(entry >= 0))

    def _numbers(self, cells: Cells, where: str) -> Ids:
        """Give the entry of each row, -1 for none."""
        rows = len(cells["person"])
        concept, source = (ids_of(cells, name, rows, where) for name in ("concept", "source_concept"))
        known = self.vocabulary.concepts({*np.unique(concept).tolist(), *np.unique(source).tolist()})
        there = [number for number, found in known.items() if found is not None]
        named = pa.array(np.isin(concept, there) | np.isin(source, there))
        value = pc.if_else(named, "", texts(cells.get("source_value"), rows).fill_null("")).dictionary_encode()
        keys = np.stack([concept, source, value.indices.to_numpy(zero_copy_only=False).astype(np.int64)])
        different, place, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
        words, found = value.dictionary.to_pylist(), []
        for (first, second, word), times in zip(different.T.tolist(), count.tolist(), strict=True):
            number, odd = self._entry(first, second, words[word], known)
            found.append(number)
            if odd:
                self.account.add(odd, times)
        entries: Ids = np.array(found, dtype=np.int64)[place.reshape(-1)]
        return entries

    def _entry(self, concept: int, source: int, value: str, known: Mapping[int, Concept | None]) -> tuple[int, str]:
        key = (concept, source, value)
        if key not in self._entries:
            named = [found for number in (concept, source) if (found := known[number]) is not None]
            missing = any(number and known[number] is None for number in (concept, source))
            codings = [found.coding for found in named] or ([Coding(LOCAL, value)] if value else [])
            odd = NO_CONCEPT if missing else "" if named else NO_SYSTEM if value else NO_CODE
            text = next((found.name for found in named if found.name), value)
            kept = bool(codings) and self._is_wanted(concept, source, value)
            self._entries[key] = (self.codebook.number(codings, text) if kept else -1, odd)
        return self._entries[key]

    def _is_wanted(self, concept: int, source: int, value: str) -> bool:
        wanted = self.wanted
        return wanted is None or not wanted.concepts.isdisjoint((concept, source)) or value in wanted.values
