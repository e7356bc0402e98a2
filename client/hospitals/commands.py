"""The site's command that writes the built-in pair of hospitals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.hospitals.generate import FEWEST, write_hospitals
from common.errors import ConfigError


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write; made where missing.", file_okay=False)],
    encounters: Annotated[int, typer.Option(min=FEWEST, help="Encounters at each site.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other encounters.")] = 215,
    own_wording: Annotated[
        bool, typer.Option("--own-wording", help="Salt Lake uses its own codes and texts: no token in common.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Write two built-in hospitals, drawn from published figures, with their site files."""
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise ConfigError(
            f"{folder}: the folder is not empty; name another one, or add --force to replace its hospitals"
        )
    for written in write_hospitals(folder, encounters, seed, "own" if own_wording else "shared"):
        ill = f"{written.influenza:,} with influenza ({written.influenza / written.encounters:.0%})"
        typer.echo(f"{written.file}: {written.encounters:,} encounters, {ill}")
        typer.echo(f"{written.file.with_suffix('.toml')}: its site file")
