"""The site's commands about its folder: init, join, check, up, status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import click
import typer

from client.home.layout import VARIABLE, home_of

Folder = Annotated[Path, typer.Option(envvar=VARIABLE, help="The site's folder.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def init(
    folder: Annotated[Path, typer.Argument(help="The site's folder; made here, never overwritten.")],
    name: Annotated[str, typer.Option(help="The site's name in the federation: a-z, 0-9 and -.")],
    data: Annotated[
        Path | None, typer.Option(help="A table of encounters, to list its columns in the site file.", dir_okay=False)
    ] = None,
) -> None:
    """Make this site's keys, a commented site file, and the one request file to send."""
    from client.home.init import initialise, next_steps

    for line in next_steps(initialise(folder, name, data), name):
        typer.echo(line)


def join(
    welcome: Annotated[Path, typer.Argument(help="NAME.welcome.json, which the coordinator sent back.")],
    folder: Folder = Path("site"),
    fingerprint: Annotated[
        str | None, typer.Option(help="What the coordinator told you by telephone; any other is refused.")
    ] = None,
) -> None:
    """Check what the coordinator sent, and keep it."""
    from client.home.join import join as join_with

    home = home_of(folder)
    found, mark = join_with(home, welcome, fingerprint)
    typer.echo(f"{found.name} joins the coordinator at {found.address}{' by mutual TLS' if found.mutual_tls else ''}.")
    if fingerprint is not None:
        typer.echo(f"Its authority has the SHA-256 that you gave: {mark}")
        return
    typer.echo("Telephone the coordinator; compare the SHA-256 of its authority with what `register` printed there:")
    typer.echo(f"  {mark}")
    typer.echo(f"If it differs in one place, do not start: remove {home.welcome}, and ask for the file by another way.")


def check(
    folder: Folder = Path("site"),
    trained_on: Annotated[
        Path | None,
        typer.Option(help="What the model is trained on (.csv of token,text): warn of concepts far from it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say in plain words what is ready and what is not; exit code 1 where something fails."""
    from client.check.report import check as run_check

    findings = []
    for finding in run_check(home_of(folder), trained_on):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{finding.level:<4}  {finding.section:<10}  {finding.text}")
    failed = sum(finding.level == "fail" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "findings": [finding.to_json() for finding in findings]}, indent=1))
    else:
        warned = sum(finding.level == "warn" for finding in findings)
        typer.echo(f"{failed} failed, {warned} to look at, {len(findings) - failed - warned} ok")
    if failed:
        raise typer.Exit(1)


def up(
    folder: Folder = Path("site"),
    only: Annotated[
        str | None,
        typer.Option(click_type=click.Choice(["relay", "agent"]), help="One half, in its own container."),
    ] = None,
    relay_user: Annotated[str | None, typer.Option(help="Whom the relay runs as; needs root.")] = None,
    agent_user: Annotated[str | None, typer.Option(help="Whom the agent runs as; needs root.")] = None,
) -> None:
    """Run relay and agent, and keep them running, until Ctrl-C or SIGTERM."""
    from client.home.up import up as run_both
    from client.home.up import up_half

    home = home_of(folder)
    if only is None:
        run_both(home, _say, relay_user, agent_user)
    elif relay_user or agent_user:
        raise click.UsageError("--relay-user and --agent-user go with both halves, not with --only")
    else:
        up_half(home, "relay" if only == "relay" else "agent", _say)


def status(folder: Folder = Path("site"), as_json: AsJson = False) -> None:
    """Say what runs, what was done last, what went wrong last, and what left in all."""
    from client.home.status import lines
    from client.home.status import status as look

    facts = look(home_of(folder))
    typer.echo(json.dumps(facts, indent=1) if as_json else "\n".join(lines(facts)))


def _say(line: str) -> None:
    typer.echo(line)
