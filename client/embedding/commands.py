"""The commands `sitebridge embed import` and `show`; the others have files of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.embedding.building import Out, build
from client.vocabulary.commands import coverage, vocabulary
from common.embeddings import EmbeddingTable, builtin_table, load_table, save_table

app = typer.Typer(add_completion=False, help="Make and look at embedding tables.", no_args_is_help=True)
for command in (build, coverage, vocabulary):
    app.command()(command)

_BUILTIN = "builtin:"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


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
