"""The coordinator's commands."""

from __future__ import annotations

import typer

from server.simulate import simulate

app = typer.Typer(add_completion=False)
app.command()(simulate)
