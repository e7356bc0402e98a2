"""What a hospital does."""

from __future__ import annotations

import typer

from client.audit.commands import approve, audit
from client.extraction.commands import extract, preview
from client.home.commands import check, init, join, status, up
from client.hospitals.commands import demo

app = typer.Typer(add_completion=False, no_args_is_help=True, help="What a hospital does.")
for command in (init, join, preview, extract, approve, check, up, status, demo):
    app.command()(command)
app.add_typer(audit, name="audit")
