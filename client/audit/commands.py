"""The commands by which a data steward approves federations and looks at what left the building."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from client.audit.totals import Totals
from client.home.layout import VARIABLE, Home
from common.errors import SitebridgeError

audit = typer.Typer(add_completion=False, no_args_is_help=True, help="What came in and what left the building.")

Folder = Annotated[Path, typer.Option("--folder", envvar=VARIABLE, help="The site's folder.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
_SITE = Path("site")


class AuditError(SitebridgeError):
    """The audit log is not as the agent wrote it."""


def approve(
    federation: Annotated[Path, typer.Argument(help="The federation's TOML file, as the coordinator sent it.")],
    by: Annotated[str, typer.Option("--by", help="Who approves.")] = "",
    folder: Folder = _SITE,
    show: Annotated[bool, typer.Option("--show", help="Only show what it asks of this site.")] = False,
) -> None:
    """Show what a federation asks of this site, and write down that it may."""
    from client.approvals import approve as record
    from client.approvals import review

    _agent(folder)
    if show:
        typer.echo("\n".join(review(folder, federation)[1]))
        return
    path, words = record(folder, federation, by)
    typer.echo("\n".join(words))
    typer.echo(f"\nApproved by {by.strip()}: {path}\nTo take it back, remove that file.")


@audit.command()
def show(folder: Folder = _SITE, as_json: AsJson = False) -> None:
    """Add up what came in and what left the building, by run and task."""
    from client.audit import LOG, totals, verify

    agent = _agent(folder)
    rows, problems = totals(agent), verify(agent)
    if as_json:
        typer.echo(json.dumps({"totals": [row.to_json() for row in rows], "problems": problems}, indent=1))
        return
    _print_totals(rows)
    if problems:
        typer.echo(f"{agent / LOG} does not verify; see: sitebridge site audit verify", err=True)


@audit.command()
def verify(folder: Folder = _SITE, as_json: AsJson = False) -> None:
    """Find any line of the audit log that was changed, removed, inserted or cut."""
    from client.audit import LOG
    from client.audit import verify as examine
    from client.audit.chain import read_lines

    agent = _agent(folder)
    problems, lines = examine(agent), sum(1 for _ in read_lines(agent / LOG))
    if as_json:
        typer.echo(json.dumps({"lines": lines, "problems": problems}, indent=1))
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise AuditError(f"{agent / LOG}: not as the agent wrote it{listed}")
    if not as_json:
        said = f"{lines:,} lines, all as the agent wrote them" if lines else "nothing was written yet"
        typer.echo(f"{agent / LOG}: {said}")


@audit.command()
def sheet(
    folder: Folder = _SITE, out: Annotated[Path | None, typer.Option("--out", help="A file; else printed.")] = None
) -> None:
    """Write the data-flow sheet for an ethics board."""
    from client.sheet import render
    from client.site_file import load_site
    from common.files import write_atomically

    _agent(folder)
    text = render(load_site(Home(folder).site_file))
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text)


def _agent(folder: Path) -> Path:
    """Give the agent's folder; in containers only the agent's own has it."""
    home = Home(folder)
    if home.relay.is_dir() and not home.agent.is_dir():
        raise AuditError(f"{home.agent}: not here, where only the relay is; ask in the agent's own container")
    return home.agent


def _print_totals(rows: list[Totals]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Messages by run, task and direction")
    table.add_column("run", no_wrap=True, min_width=max((len(row.run) for row in rows), default=0))
    for heading in ("task", "direction"):
        table.add_column(heading)
    for heading in ("messages", "refused", "numbers", "figures", "bytes"):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = (row.messages, row.refused, row.numbers, row.figures, row.bytes)
        table.add_row(row.run, row.what, row.direction, *(f"{count:,}" for count in counts))
    Console().print(table)
    left = [row for row in rows if row.direction == "out"]
    Console().print(
        f"Left the building: {sum(row.messages for row in left):,} messages, {sum(row.numbers for row in left):,} "
        f"weights, {sum(row.figures for row in left):,} figures, {sum(row.bytes for row in left):,} bytes"
    )
