"""`sitebridge report`: the report of a run or a study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.errors import ConfigError
from common.files import write_atomically

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, simulated or deployed, or of a study.")],
    out: Annotated[Path | None, typer.Option(help="The file to write; default RUN/report.html.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Until the run ends, keep a light page live.html beside it.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="With --watch: seconds between two looks.")] = 5,
) -> None:
    """Write the report of a run or a study: one HTML file that opens in any browser, without a network, and prints."""
    path = out or run / "report.html"
    if (run / "study.json").is_file():
        if watch:
            raise ConfigError(f"{run}: a study; --watch follows a run, and `sitebridge study` shows how far it is")
        write_atomically(path, _of_study(run))
    elif watch:
        from server.report.live import finish, follow

        follow(run, path, every)
        try:
            write_atomically(path, _of_run(run))
        finally:
            finish(run, path)
    else:
        write_atomically(path, _of_run(run))
    print(path)


def _of_run(folder: Path) -> str:
    from server.report.folder import RunFolder
    from server.report.page import page

    return page(RunFolder(folder))


def _of_study(folder: Path) -> str:
    from server.report.study.folder import StudyFolder
    from server.report.study.page import page

    return page(StudyFolder(folder))
