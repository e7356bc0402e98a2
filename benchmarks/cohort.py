"""Reading a large cohort: `read_cohort` and `prepare` beside what pyarrow needs for the same columns of the same file.

Each reading is a process of its own, so that its peak of memory is its own; the ways take turns. pyarrow reads text as
dictionaries, the fastest way that it has for cells of few values (its default, plain text, is measured beside), into
one table in memory. Both use the threads that pyarrow takes by itself.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cohort_file import CSV_SHARE, write_cohort

WAYS = {
    "pyarrow": "pyarrow's read_table, dictionaries",
    "plain": "pyarrow's read_table, plain text",
    "cohort": "read_cohort",
    "prepare": "prepare, one-hot",
}
CSV_WAYS = {"csv": "CSV: pyarrow's read_csv, dictionaries", "cohort": "CSV: read_cohort"}


def cohorts(console: Console, folder: Path, encounters: int, runs: int) -> None:
    """Write the files, measure, and print."""
    console.print(f"writing {encounters:,} encounters to {folder} ...")
    parquet, csv = write_cohort(folder, encounters)
    title = f"{encounters:,} encounters, {parquet.stat().st_size / 2**20:,.0f} MiB of Parquet"
    console.print(_compared(title, parquet, WAYS, runs))
    title = f"{encounters // CSV_SHARE:,} encounters, {csv.stat().st_size / 2**20:,.0f} MiB of CSV"
    console.print(_compared(title, csv, CSV_WAYS, runs))


def _compared(title: str, path: Path, ways: dict[str, str], runs: int) -> Table:
    """Measure the ways in turn; the first is what the others are held against."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, measured in found.items():
            measured.append(once(way, path))
    table = Table(title=f"{title}; medians of {runs} runs in turn", title_justify="left")
    headings = ("what", "seconds", "CPU seconds", "peak MiB", "ratio of seconds", "spread", "ratio of CPU")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "what" else "right")
    first = found[next(iter(ways))]
    for way, measured in found.items():
        seconds, cpu, peak = (statistics.median(run[key] for run in measured) for key in ("seconds", "cpu", "peak"))
        walls, cpus = (_ratios(measured, first, key) for key in ("seconds", "cpu"))
        ratios = (
            f"{statistics.median(walls):.2f}",
            f"{walls[0]:.2f}-{walls[-1]:.2f}",
            f"{statistics.median(cpus):.2f}",
        )
        table.add_row(ways[way], f"{seconds:.1f}", f"{cpu:.1f}", f"{peak:,.0f}", *ratios)
    return table


def _ratios(measured: list[dict[str, float]], first: list[dict[str, float]], key: str) -> list[float]:
    """Give one way's figures over those of the first in the same turn, sorted."""
    return sorted(run[key] / base[key] for run, base in zip(measured, first, strict=True))


def once(way: str, path: Path) -> dict[str, float]:
    """Read in a process of its own: seconds, CPU seconds, and the peak of its memory in MiB."""
    command = [sys.executable, "-m", "benchmarks.cohort_once", way, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
