"""`python -m benchmarks [--runs N]`: every comparison, in one table.

`--deployed` and `--polls`: a deployed round. `--encounters N`: reading a cohort of that size.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.cohort import cohorts
from benchmarks.deployed import deployed, polls
from benchmarks.deployed_tables import print_deployed, print_polls
from benchmarks.epoch import epochs
from benchmarks.federation import federations

Runs = Annotated[
    int | None, typer.Option(min=1, help="Counted runs of each way; 5, deployed and of reading 3, of intervals 2.")
]
IsDeployed = Annotated[bool, typer.Option("--deployed", help="A deployed round beside Flower's usual form.")]
Polls = Annotated[bool, typer.Option("--polls", help="What Flower's one public interval brings to a deployed round.")]
Encounters = Annotated[int | None, typer.Option(min=1000, help="Read a cohort of so many encounters beside pyarrow.")]


def main(
    runs: Runs = None, is_deployed: IsDeployed = False, intervals: Polls = False, encounters: Encounters = None
) -> None:
    """Measure and print. Deployed: about ten minutes each, on loopback, with nginx."""
    console = Console(width=140)
    if is_deployed:
        print_deployed(console, deployed(runs or 3))
    if intervals:
        print_polls(console, polls(runs or 2))
    if encounters:
        with tempfile.TemporaryDirectory() as folder:
            cohorts(console, Path(folder), encounters, runs or 3)
    if not (is_deployed or intervals or encounters):
        console.print(_compared(runs or 5))


def _compared(runs: int) -> Table:
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    table = Table(title=f"medians of {runs} runs in turn; {machine}", title_justify="left")
    for heading in ("what", "first", "second", "first / second", "spread"):
        table.add_column(heading, justify="left" if heading in ("what", "first", "second") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for comparison in (epochs(runs), federations(Path(folder), runs)):
            table.add_row(*comparison.row())
    return table


if __name__ == "__main__":
    typer.run(main)
