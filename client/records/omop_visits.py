"""Encounters of an OMOP database: visits, the kind of each, and the birth of its person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.contract import ENCOUNTERS, Account
from client.records.omop_times import Times
from client.records.omop_values import ids_of
from client.records.omop_vocabulary import Vocabulary
from client.records.table_cells import texts

STRANGER = "encounters of a person that the table person lacks: left out"
VISITS = {  # concepts of the vocabularies "Visit" and "CMS Place of Service", with what lies below them
    9201: "inpatient",
    8717: "inpatient",
    9202: "outpatient",
    9203: "emergency",
    8870: "emergency",
    262: "emergency",  # an emergency room, then inpatient: it began as an emergency
    5083: "virtual",  # telehealth
    581476: "home",
}


@dataclass
class VisitReader:
    """Turns rows of visits, each with what its person's row says, into encounters.

    Attributes
    ----------
    kinds : mapping of int to str
        Kind by concept.
    """

    vocabulary: Vocabulary
    times: Times
    account: Account
    kinds: Mapping[int, str]
    _kind_of: dict[int, str | None] = field(default_factory=dict)

    def read(self, cells: Mapping[str, Any], where: str) -> pa.RecordBatch:
        """Give encounters of the schema `ENCOUNTERS`.

        Raises
        ------
        CohortError
            A time cannot be read; `where` names the table.
        """
        rows = len(cells["person"])
        patient = texts(cells["person"], rows)
        stranger = pc.and_(patient.is_valid(), texts(cells["known"], rows).is_null())
        self.account.add(STRANGER, pc.sum(stranger).as_py() or 0)
        columns = {
            "encounter": texts(cells["encounter"], rows),
            "patient": patient,
            "start": self.times.span(cells, "start_date", "start_datetime", where)[0],
            "end": self.times.span(cells, "end_date", "end_datetime", where)[1],
            "kind": self._kinds(cells, rows, where),
            "birth": self.times.births(cells, "table person"),
        }
        batch = pa.record_batch([columns[name] for name in ENCOUNTERS.names], schema=ENCOUNTERS)
        return batch.filter(pc.invert(stranger))

    def _kinds(self, cells: Mapping[str, Any], rows: int, where: str) -> Any:
        """Give kinds; of visits of other concepts, the concept's name, and without one the source's word."""
        concept = ids_of(cells, "concept", rows, where)
        different, place = np.unique(concept, return_inverse=True)
        new = set(different.tolist()) - self._kind_of.keys()
        above, known = self.vocabulary.nearest(new, self.kinds), self.vocabulary.concepts(new)
        for one in new:
            found = known[one]
            self._kind_of[one] = self.kinds[above[one]] if one in above else found.name if found is not None else None
        named = pa.array([self._kind_of[one] for one in different.tolist()], pa.string()).take(pa.array(place))
        return pc.coalesce(named, texts(cells.get("source_value"), rows))
