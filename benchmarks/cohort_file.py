"""A drawn cohort of any size: 70 findings, an age group, a temperature, a day, a label, an id; written in chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

ID = "id"
CSV_SHARE = 10  # the CSV holds one encounter in so many: it is larger and slower
FINDINGS = 70

_CHUNK = 500_000
_AGES = ("ls5", "ge6ls65", "ge64", "")
_SITE = """\
name = "{kind}"
[cohort]
file = "cohort.{kind}"
id = "id"
[cohort.label]
column = "label"
positive = ["1"]
negative = ["0"]
[cohort.findings]
spelling = "P/A/M"
columns = "others"
[cohort.categories.agegroup]
column = "agegroup"
values = ["ls5", "ge6ls65", "ge64"]
[cohort.grades.C0424781]
column = "temperature"
unit = "C"
cuts = [38, 40]
names = ["I", "A", "P"]
[split]
by = "date"
column = "day"
test_from = 2011-07-01
"""


def write_cohort(folder: Path, encounters: int) -> tuple[Path, Path]:
    """Write Parquet, a smaller CSV of the same kind, and a site file for each; give the two tables' paths."""
    paths = folder / "cohort.parquet", folder / "cohort.csv"
    for path in paths:
        path.with_name(f"{path.suffix[1:]}.toml").write_text(_SITE.format(kind=path.suffix[1:]))
    generator = np.random.default_rng(0)
    shares = generator.uniform(0.02, 0.5, FINDINGS)  # probability that each finding is present
    schema = _chunk(generator, shares, 0, 1).schema
    with pa_parquet.ParquetWriter(paths[0], schema) as parquet, pa_csv.CSVWriter(paths[1], schema) as csv:
        for first in range(0, encounters, _CHUNK):
            count = min(_CHUNK, encounters - first)
            table = _chunk(generator, shares, first, count)
            parquet.write_table(table)
            wanted = min(count, encounters // CSV_SHARE - first)
            if wanted > 0:
                csv.write_table(table.slice(0, wanted))
    return paths


def _chunk(generator: np.random.Generator, shares: np.ndarray, first: int, count: int) -> pa.Table:
    """Draw encounters; one finding in ten is not known."""
    ids = np.char.add("e", (np.arange(first, first + count) + 10_000_000).astype(str))
    days = generator.integers(14_000, 15_500, count).astype(np.int32)  # since 1970: 2008-05 to 2012-06
    columns = {
        ID: pa.array(ids),
        "day": pa.array(days).cast(pa.date32()),
        "label": pa.array(generator.integers(0, 2, count)),
        "agegroup": _words(generator.integers(0, len(_AGES), count), _AGES),
        "temperature": pa.array(generator.normal(37.5, 0.9, count).clip(30, 43).round(1)),
    }
    for number, share in enumerate(shares, start=1):
        drawn = generator.random(count, dtype=np.float32)
        columns[f"finding{number}"] = _words(np.select([drawn < share * 0.9, drawn < 0.9], [0, 1], 2), ("P", "A", "M"))
    return pa.table(columns)


def _words(places: np.ndarray, words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int8)), pa.array(words)).dictionary_decode()
