"""`python -m benchmarks.cohort_once WAY FILE`: reads a file once and prints what it took, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from benchmarks.cohort_file import ID
from client.cohorts import read_cohort
from client.site_file import load_site


def pyarrow(path: Path) -> object:
    """Read as pyarrow reads fastest; ids are all different, and slower as a dictionary."""
    names = pa_parquet.read_schema(path).names
    return pa_parquet.read_table(path, columns=names, read_dictionary=[name for name in names if name != ID])


def plain(path: Path) -> object:
    """Read as pyarrow reads when nothing is said."""
    return pa_parquet.read_table(path)


def csv(path: Path) -> object:
    """Read a CSV as pyarrow does, cells as text, each different one kept once."""
    names = path.open().readline().strip().replace('"', "").split(",")
    types = {name: pa.string() if name == ID else pa.dictionary(pa.int32(), pa.string()) for name in names}
    return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=types))


def cohort(path: Path) -> object:
    """Read as a site does."""
    return read_cohort(load_site(path.with_name(f"{path.suffix[1:]}.toml")))


def prepare(path: Path) -> object:
    """Read as a site does before it trains."""
    from client.preparation import prepare as prepare_site  # imports torch, which the others do without
    from common.concepts import TEXT
    from common.config import ONE_HOT
    from common.tasks import Embedding

    embedding = Embedding(name=ONE_HOT, normalisation="raw", unknown="mask", absence=TEXT)
    return prepare_site(load_site(path.with_name(f"{path.suffix[1:]}.toml")), embedding)


WAYS: dict[str, Callable[[Path], object]] = {way.__name__: way for way in (pyarrow, plain, csv, cohort, prepare)}


def main(way: str, path: Path) -> None:
    """Read and print."""
    if way == "prepare":
        import torch  # noqa: F401  # not a part of the reading
    start, cpu = time.perf_counter(), time.process_time()
    result = WAYS[way](path)
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    del result
    print(json.dumps({**took, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
