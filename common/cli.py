"""The `sitebridge` command. Each group of commands lives at its side and is imported when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from common.environment import QUIET
from common.errors import SitebridgeError

_COMMANDS = {
    "simulate": ("server.commands", "Run a federation in this process and print the table."),
    "study": ("study.commands", "Run a grid of embeddings, sources, target sizes, strategies and seeds."),
    "audit-model": ("attacks.commands", "Attack what a federation shares of a site, and say how well that works."),
    "coordinator": ("server.coordinator.commands", "Register sites, start rounds over them, and watch them."),
    "site": ("client.commands", "What a hospital does: join, check, approve, run, audit."),
    "report": ("server.report.commands", "One HTML file about a run or a study; or a live page of a run that goes on."),
    "predict": ("client.prediction.commands", "Score a site's new encounters with a run's model; nothing leaves."),
    "export": ("client.prediction.exporting", "Write a trained model as ONNX or safetensors, with a model card."),
    "track": ("server.tracking.commands", "Write a finished run for TensorBoard."),
    "embed": ("client.embedding.commands", "Build, import, compare and look at embedding tables."),
}


class _Lazy(click.Group):
    """A group that imports a command's module when the command is called, so that --help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        from typer.main import get_command

        command = get_command(import_module(_COMMANDS[name][0]).app)
        command.name = name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sitebridge")
def sitebridge() -> None:
    """Train one clinical classifier across hospitals without moving a patient record."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error that a person can act on is one message and exit code 1."""
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    try:
        sitebridge(args=arguments, prog_name="sitebridge")
    except SitebridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a folder that cannot be written, a disk that is full
        print(f"Error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
