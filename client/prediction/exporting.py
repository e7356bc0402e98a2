"""The command `sitebridge export`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from client.prediction.commands import Embedding, From, Strategy, Target

if TYPE_CHECKING:
    from client.prediction.exported import Exported

app = typer.Typer(add_completion=False)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A run's folder, a file of weights in one, or an exported one.")],
    form: Annotated[Literal["onnx", "safetensors"], typer.Option(help="What to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must be absent or empty.")],
    site: Annotated[
        Path | None, typer.Option(help="A site file: bakes its table's rows in, adds its vocabulary.")
    ] = None,
    embedding: Embedding = "",
    from_: From = "",
    strategy: Strategy = "",
    target: Target = "",
    seed: Annotated[str, typer.Option(help="Which model: of this seed.")] = "",
) -> None:
    """Write a trained model with its card, checked to give the same scores; nothing is written if it does not."""
    from client.prediction.exported import as_onnx, as_safetensors, over_site, write_folder
    from client.site_file import load_site
    from common.errors import ConfigError
    from common.trained import Asked, open_models

    own = None if site is None else load_site(site)
    if seed == "all":
        raise ConfigError("--seed all: a file holds one model; export seed by seed")
    opened = open_models(model, Asked(embedding, from_, strategy, target, seed, "" if own is None else own.name))[0]
    based = over_site(own, opened)
    made = as_onnx(based) if form == "onnx" else as_safetensors(based)
    write_folder(out, made, model)
    for line in _said(out, made, based.silent):
        typer.echo(line)


def _said(out: Path, made: Exported, silent: tuple[str, ...]) -> Iterator[str]:
    yield f"{out}: {', '.join([*made.files, 'MODEL_CARD.md'])}"
    yield f"checked: {made.agreement}"
    if silent:
        yield f"tokens that no encounter here has and the table has no row for: {len(silent)}; the card names them"
