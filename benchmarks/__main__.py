"""`python -m benchmarks [--runs N]`: every comparison, in one table."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.epoch import epochs
from benchmarks.federation import federations


def main(runs: Annotated[int, typer.Option(min=1, help="Counted runs of each way.")] = 5) -> None:
    """Measure and print."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    table = Table(title=f"medians of {runs} runs in turn; {machine}", title_justify="left")
    for heading in ("what", "first", "second", "first / second", "spread"):
        table.add_column(heading, justify="left" if heading in ("what", "first", "second") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for comparison in (epochs(runs), federations(Path(folder), runs)):
            table.add_row(*comparison.row())
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
