"""Encounters and events that lie one a row, in columns of the contract's names: batches of cells to batches of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pydantic import AfterValidator

from client.records.answers import fold, means_absent
from client.records.clock import TIME, Clock
from client.records.contract import ENCOUNTERS, EVENTS, Account
from client.records.database_cells import finite
from client.records.table_cells import booleans, numbers, texts
from client.records.table_codes import CodeReader

OF_ENCOUNTERS = {"encounter": True, "patient": True, "start": True, "end": False, "kind": False, "birth": False}
OF_EVENTS = {"patient": True, "encounter": False, "time": True, "until": False, "code": True, "system": False}
OF_EVENTS |= dict.fromkeys(("text", "absent", "number", "unit", "answer"), False)  # true: needed


def _known(names: dict[str, str]) -> dict[str, str]:
    known = [*dict.fromkeys((*OF_ENCOUNTERS, *OF_EVENTS))]
    stray = [name for name in names if name not in known]
    if stray:
        raise ValueError(f'no column is called "{stray[0]}"; expected some of {", ".join(known)}')
    return names


OwnNames = Annotated[dict[str, str], AfterValidator(_known)]  # a site's names of columns, by the contract's
_Cells = Mapping[str, Any]  # Arrow arrays (N,) by column; columns that are not needed may lack


class LongForm:
    """Turns cells as they are written into those of the contract.

    Parameters
    ----------
    absent : tuple of str
        Answers that say that a finding is not there.
    """

    def __init__(self, clock: Clock, account: Account, absent: tuple[str, ...]) -> None:
        self._clock, self._account, self._absent = clock, account, fold(absent)

    def encounters(self, cells: _Cells, where: str) -> pa.RecordBatch:
        """Give encounters.

        Raises
        ------
        CohortError
            A time cannot be read; `where` names the table.
        """
        times = {name: self._span(cells, name, where) for name in ("start", "end", "birth")}
        columns = {name: texts(cells.get(name), len(cells["patient"])) for name in ("encounter", "patient", "kind")}
        columns |= {"start": times["start"][0], "end": times["end"][1], "birth": times["birth"][0]}
        return pa.record_batch([columns[name] for name in ENCOUNTERS.names], schema=ENCOUNTERS)

    def events(self, cells: _Cells, where: str, reader: CodeReader) -> pa.RecordBatch:
        """Give events that have a code that is wanted.

        Raises
        ------
        CohortError
            A time or a number cannot be read; `where` names the table.
        """
        entry = reader.read(cells)
        rows = len(entry)
        time, until = self._span(cells, "time", where)
        _, stated = self._span(cells, "until", where)
        columns = {name: texts(cells.get(name), rows) for name in ("patient", "encounter", "unit", "answer")}
        columns |= {"time": time, "until": pc.coalesce(stated, until), "entry": pa.array(entry)}
        columns["number"] = finite(numbers(cells.get("number"), rows, where), self._account)
        absent = booleans(cells.get("absent"), rows, where)
        columns["absent"] = pa.array(absent | self._answered_absent(columns["answer"]))
        batch = pa.record_batch([columns[name] for name in EVENTS.names], schema=EVENTS)
        return batch.filter(pa.array(entry >= 0))

    def _span(self, cells: _Cells, name: str, where: str) -> tuple[Any, Any]:
        if name not in cells:
            empty = pa.nulls(len(cells["patient"]), TIME)
            return empty, empty
        return self._clock.span(cells[name], f"{where}, column for `{name}`")

    def _answered_absent(self, answers: pa.Array) -> Any:
        encoded = answers.fill_null("").dictionary_encode()
        says = [means_absent(answer, self._absent) for answer in encoded.dictionary.to_pylist()]
        return np.array(says, dtype=np.bool_)[encoded.indices.to_numpy(zero_copy_only=False)]
