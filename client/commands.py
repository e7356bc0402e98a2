"""What a hospital does."""

from __future__ import annotations

import typer

from client.hospitals.commands import demo

app = typer.Typer(add_completion=False, help="What a hospital does.")
app.command()(demo)


@app.callback()
def site() -> None:
    """Keep `demo` a command of a group, also while it is the only one."""
