"""What the encounters of a file are called: their ids as text, or else the numbers of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pa_parquet  # type: ignore[import-untyped]

from client.cohorts.cells import spell
from client.cohorts.reader import BLOCK
from client.prediction.encounters import NewEncounters
from common.errors import CohortError


class Names:
    """Names of new encounters, made as they are asked for.

    Parameters
    ----------
    encounters : NewEncounters
    path : Path
        Their file.
    column : str or None
        That of the ids.

    Raises
    ------
    CohortError
        The file changed while it was read.
    """

    def __init__(self, encounters: NewEncounters, path: Path, column: str | None) -> None:
        self._rows = encounters.table.rows
        self.heading = column or "row"
        self._ids = None if column is None else _texts(path, column)
        if self._ids is not None and len(self._ids) < self._rows.max(initial=0):
            raise CohortError(f"{path.name}: was changed while it was read; try again")

    def __getitem__(self, place: slice) -> list[object]:
        rows = self._rows[place]
        if self._ids is None:
            return list(rows.tolist())
        return [spell(text or "") for text in self._ids.take(pa.array(rows - 1)).to_pylist()]


def _texts(path: Path, column: str) -> Any:
    """Read one column as Arrow's text: a tenth of what Python's would take."""
    try:
        if path.suffix.lower() == ".parquet":
            return pa_parquet.read_table(path, columns=[column]).column(column).cast(pa.string())
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=BLOCK),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(include_columns=[column], column_types={column: pa.string()}),
        ).column(column)
    except (pa.ArrowException, KeyError, OSError):
        raise CohortError(f"{path.name}: was changed while it was read; try again") from None
