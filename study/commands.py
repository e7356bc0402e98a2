"""The command `sitebridge study`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default runs/NAME. One that was cut off goes on.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default one for each core.")] = None,
) -> None:
    """Run a grid of presets, embeddings, sources, target sizes, strategies and seeds, and print what it says."""
    from study.config import load_study
    from study.run import run
    from study.summary import show, write

    checked = load_study(file)
    folder = (out or Path("runs") / checked.name).resolve()
    run(checked, folder, jobs or len(os.sched_getaffinity(0)))
    write(folder, checked)
    show(folder, checked)
