"""The commands `sitebridge site extract` and `preview`: from records to the table that the agent reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.home.layout import VARIABLE

if TYPE_CHECKING:
    from client.extraction.cohort import Progress

Folder = Annotated[Path, typer.Option(envvar=VARIABLE, help="The site's folder.", file_okay=False)]
SiteFile = Annotated[Path | None, typer.Option("--site", help="The site file, if it is not FOLDER/site.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def extract(folder: Folder = Path("site"), site: SiteFile = None, as_json: AsJson = False) -> None:
    """Read the hospital's records by the cohort's definition, and write the table that the agent reads."""
    from client.extraction.output import write_cohort
    from client.extraction.report import why_nobody
    from common.errors import CohortError
    from common.toml import resolve

    path = site or folder / "site.toml"
    file, definition, extracted, kind, shown = _run(path, unmapped=False)
    out = resolve(file.cohort.file, path.parent)
    _print(shown, as_json)
    if not len(extracted.chosen):
        raise CohortError(why_nobody(shown))
    write_cohort(extracted, definition, kind, out)
    if not as_json:
        typer.echo(f"written: {out}")


def preview(folder: Folder = Path("site"), site: SiteFile = None, as_json: AsJson = False) -> None:
    """Show what `extract` would give, step by step, and the codes that no set takes; write nothing."""
    _print(_run(site or folder / "site.toml", unmapped=True)[-1], as_json)


def _run(path: Path, unmapped: bool) -> Any:
    from client.extraction.cohort import extract as read
    from client.extraction.report import facts
    from client.extraction.site import read_source
    from client.records.section import kind_of, open_records

    file, definition, section = read_source(path)
    with _progress() as progress:
        extracted = read(definition, open_records(section, path.parent), unmapped, progress)
    return file, definition, extracted, kind_of(section), facts(extracted, definition, file.policy.min_cell)


def _print(shown: dict[str, Any], as_json: bool) -> None:
    from client.extraction.report import lines

    typer.echo(json.dumps(shown, indent=1, ensure_ascii=False) if as_json else "\n".join(lines(shown)))


@contextmanager
def _progress() -> Iterator[Progress]:
    """Count rows on a terminal, and say nothing in a log."""
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _what, _rows: None
        return
    words = TextColumn("{task.description}: {task.completed:,.0f} read")
    with Bar(SpinnerColumn(), words, TimeElapsedColumn(), console=console, transient=True) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("encounters", "events")}
        yield lambda what, rows: bar.advance(tasks[what], rows)
