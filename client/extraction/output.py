"""The extracted table: one Parquet file, one row for each encounter, sorted by patient, start and id.

What the file says of itself, under the key `KEY` of its metadata, tells a site file how to read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pa_parquet  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.extraction.cohort import UNKNOWN, Extracted
from client.extraction.definition import ENCOUNTER, LABEL, PATIENT, START, Definition
from client.extraction.encounters import UNKNOWN_AGE
from common.concepts import ABSENT, PRESENT
from common.errors import CohortError
from common.files import PRIVATE

KEY = b"sitebridge"

_ROWS = 100_000  # of a row group
_SAID = pa.array([PRESENT, ABSENT])  # in the order of the numbers in `Extracted.findings`


@dataclass(frozen=True)
class Origin:
    """Where an extracted table comes from.

    Attributes
    ----------
    definition, digest : str
        The definition's name, and `Definition.digest`.
    records : str
        The kind of records.
    local : dict of str to str
        Text of each local concept, by code, in the order of its columns.
    decisions : dict of str to int
        What was decided about odd records, and how often.
    """

    definition: str
    digest: str
    records: str
    local: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)


def write_cohort(extracted: Extracted, definition: Definition, kind: str, path: Path) -> None:
    """Write the table aside, then rename it over what was there. Only its owner may read it.

    Raises
    ------
    CohortError
        There is no encounter to write.
    """
    if len(extracted.chosen) == 0:
        raise CohortError(f"{definition.name}: no encounter is left to write")
    texts = {local.code: definition.texts.get(local.code, local.text) for local in extracted.local}
    origin = Origin(definition.name, definition.digest(), kind, texts, extracted.decisions)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            _write(extracted, definition, origin, file)
            file.flush()
            os.fchmod(file.fileno(), PRIVATE)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_origin(path: Path) -> Origin:
    """Read where a table comes from.

    Raises
    ------
    CohortError
        The file cannot be read, or `sitebridge site extract` did not write it.
    """
    again = "make it: sitebridge site extract"
    try:
        content = json.loads((pa_parquet.read_metadata(path).metadata or {})[KEY])
        return Origin(**content)
    except FileNotFoundError:
        raise CohortError(f"no such file: {path}; {again}") from None
    except (pa.ArrowException, OSError):
        raise CohortError(f"{path.name}: cannot be read as Parquet; {again}") from None
    except (KeyError, ValueError, TypeError, RecursionError):
        raise CohortError(f"{path.name}: not a table that Sitebridge extracted; {again}") from None


def _write(extracted: Extracted, definition: Definition, origin: Origin, file: Any) -> None:
    metadata = {KEY: json.dumps(asdict(origin), ensure_ascii=False)}
    first = _table(extracted, definition, slice(0, _ROWS))
    schema = first.schema.with_metadata(metadata)
    with pa_parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        writer.write_table(first.cast(schema))
        for start in range(_ROWS, len(extracted.chosen), _ROWS):
            writer.write_table(_table(extracted, definition, slice(start, start + _ROWS)).cast(schema))


def _table(extracted: Extracted, definition: Definition, rows: slice) -> pa.Table:
    chosen = extracted.chosen
    start = chosen.start[rows].astype("M8[us]").astype("M8[D]")
    age = chosen.age[rows]
    columns = {ENCOUNTER: chosen.encounter[rows], PATIENT: chosen.patient[rows], START: pa.array(start)}
    columns[LABEL] = pa.array(extracted.labels[rows])
    columns |= {code: _finding(values[rows]) for code, values in extracted.findings.items()}
    for code, numbers in extracted.grades.items():
        columns[code] = pa.array(numbers[rows], mask=np.isnan(numbers[rows]))
    columns |= {code: pa.array(age, mask=age == UNKNOWN_AGE) for code in definition.ages}
    return pa.table(columns)


def _finding(values: NDArray[np.int8]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(values, mask=values == UNKNOWN), _SAID)
