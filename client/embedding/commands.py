"""The commands `sitebridge embed build`, `import` and `show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from common.embeddings import EmbeddingTable, builtin_table, load_table, save_table

if TYPE_CHECKING:  # the model brings torch along: seconds that `show` does not need
    from client.embedding.model import Progress as Callback

app = typer.Typer(help="Make and look at embedding tables.", no_args_is_help=True)

_BUILTIN = "builtin:"


class Pooling(StrEnum):
    """How a text's vector is taken from the model's last layer."""

    mean = "mean"
    cls = "cls"


Out = Annotated[Path, typer.Option("--out", help="File to write, .safetensors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def build(
    source: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's folder, or its name on the Hugging Face hub.")
    ],
    out: Out,
    name: Annotated[str | None, typer.Option(help="What every site calls the model; needed for a folder.")] = None,
    pooling: Annotated[Pooling, typer.Option(help="Mean over the word pieces, or the first one.")] = Pooling.mean,
    builtin: Annotated[bool, typer.Option("--builtin", help="Embed the shipped concepts, both wordings.")] = False,
    site: Annotated[list[Path] | None, typer.Option(help="Embed a site file's vocabulary; may be repeated.")] = None,
    texts: Annotated[list[Path] | None, typer.Option(help="Embed a CSV list with columns token,text.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts at a time.")] = 32,
) -> None:
    """Build an embedding table with a language model, on this machine."""
    from client.embedding.build import build_table
    from client.embedding.texts import gather

    tokens = gather(builtin, site or [], texts or [])
    with _progress() as progress:
        table = build_table(source, tokens, name=name, pooling=pooling.value, batch=batch, progress=progress)
    save_table(table, out)
    typer.echo(f"{out}: {len(table.tokens)} texts, {table.vectors.shape[1]} numbers each")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file in the layout of the paper's authors.")],
    out: Out,
    model: Annotated[str, typer.Option(help="What made the vectors, such as bert-base-uncased.")],
    revision: Annotated[str, typer.Option(help="Which revision of it.")] = "unknown",
    pooling: Annotated[str, typer.Option(help="How a text's vector was taken: cls, mean, ...")] = "unknown",
) -> None:
    """Import an embedding table from the paper's authors' HDF5 layout."""
    from client.embedding.importing import import_table

    table = import_table(source, model=model, revision=revision, pooling=pooling)
    save_table(table, out)
    typer.echo(f"{out}: {len(table.tokens)} tokens, {table.vectors.shape[1]} numbers each")


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="An embedding table's file, or builtin:minilm.")],
    as_json: AsJson = False,
) -> None:
    """Check an embedding table and say what is in it."""
    path = builtin_table(table.removeprefix(_BUILTIN)) if table.startswith(_BUILTIN) else Path(table)
    facts = _facts(load_table(path))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    shown = Table("", "", title=table, show_header=False)
    shown.columns[1].overflow = "fold"
    for name, fact in facts.items():
        if name != "fingerprint":
            shown.add_row(name.replace("_", " "), Text(f"{fact:.4g}" if isinstance(fact, float) else str(fact)))
    shown.add_row("fingerprint", facts["fingerprint"]["digest"])
    Console().print(shown)


def _facts(table: EmbeddingTable) -> dict[str, Any]:
    return {
        "model": table.model,
        "revision": table.revision,
        "pooling": table.pooling,
        "tokens": len(table.tokens),
        "dimension": table.vectors.shape[1],
        "rows_found_by": table.key,
        "normalisation": table.normalisation,
        "centre_of": table.centre_of,
        "mean_norm_raw": _mean_norm(table, "raw"),
        "mean_norm_centred": _mean_norm(table, "centred"),
        "fingerprint": table.fingerprint().to_json(),
    }


def _mean_norm(table: EmbeddingTable, normalisation: str) -> float:
    return float(np.linalg.norm(table.normalised(normalisation)[1:], axis=1).mean())


@contextmanager
def _progress() -> Iterator[Callback | None]:
    """Show a bar on a terminal, and nothing in a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Embedding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
