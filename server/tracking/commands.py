"""`sitebridge track`: a finished run, written for TensorBoard."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from common.errors import ConfigError

app = typer.Typer(add_completion=False)


@app.command()
def track(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, simulated or deployed.")],
    out: Annotated[Path, typer.Option(help="Folder to make: tensorboard --logdir FOLDER.")],
) -> None:
    """Write a run's parameters, rounds and results for TensorBoard; it runs on this machine and sends nothing."""
    from server.report.folder import RunFolder
    from server.tracking.tensorboard import write

    read = RunFolder(run)
    if (run / "journal").exists():
        raise ConfigError(f"{run}: the run is not finished; go on with it first, then track it")
    with _new(out) as folder:
        count = write(read, folder)
    typer.echo(f"{out}: {count} series of rounds and models; look at them with: tensorboard --logdir {out}")


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes its name when all is written.

    Raises
    ------
    ConfigError
        There is something of that name: TensorBoard would lay one run over another.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: already there and not empty; name another folder with --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield aside
        aside.chmod(0o755)
        os.replace(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
