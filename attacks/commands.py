"""The command `sitebridge audit-model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def audit_model(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The federation's TOML file.")],
    site: Annotated[str, typer.Option(help="The site whose encounters are attacked.")],
    size: Annotated[
        list[int] | None, typer.Option(help="Encounters of a simulated site; repeatable; default 50, 500, 10000.")
    ] = None,
    models: Annotated[int, typer.Option(min=8, max=1024, help="Simulated sites; all but one are shadow models.")] = 64,
    strategy: Annotated[list[str] | None, typer.Option(help="Strategies instead of the file's; repeatable.")] = None,
    embedding: Annotated[str | None, typer.Option(help="Embedding; default the file's first.")] = None,
    finding: Annotated[
        str | None, typer.Option(help="Code of the finding that is guessed; default the one nearest to half and half.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default the file's first.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default runs/NAME-audit. One that was cut off goes on.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Attack what a federation shares of one site, simulated at several sizes, and say how well that works."""
    from attacks.config import SIZES, plan
    from attacks.run import run
    from attacks.summary import show, write
    from common.config import load_federation

    given = {"strategies": strategy, "embeddings": embedding and [embedding], "seeds": None if seed is None else [seed]}
    checked = load_federation(federation, {key: value for key, value in given.items() if value})
    audit = plan(checked, federation, site, size or SIZES, models, finding)
    folder = (out or Path("runs") / f"{checked.name}-audit").resolve()
    run(audit, folder, jobs)
    write(folder, audit)
    show(folder)
