"""The commands `sitebridge embed coverage` and `sitebridge embed vocabulary`."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.vocabulary.coverage import FAR, Nearest, find_nearest
from client.vocabulary.listing import open_table, read_vocabulary, spoken, write_vocabulary
from common.concepts import Token
from common.embeddings import EmbeddingTable
from common.errors import TableError

_SHOWN = 40
_WHAT = "a site file, a list of texts (.csv), a table (.safetensors) or builtin:minilm"


def coverage(
    known: Annotated[str, typer.Argument(metavar="KNOWN", help=f"What the model is trained on: {_WHAT}.")],
    own: Annotated[str, typer.Argument(metavar="OWN", help="What it will meet: the same kinds.")],
    table: Annotated[
        str | None, typer.Option(help="Table with the vectors of both, where they are not tables themselves.")
    ] = None,
    far: Annotated[float, typer.Option(min=-1, max=1, help="Cosine below which a concept has no near one.")] = FAR,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, every concept.")] = False,
) -> None:
    """Compare two vocabularies by their texts: for each concept of OWN, the nearest of KNOWN. No patient is read."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    common = open_table(table) if table is not None else None
    left, right = _side(known, common), _side(own, common)
    found = sorted(find_nearest(*left, *right), key=lambda one: one.cosine)
    if as_json:
        content = {"far": far, "concepts": [_row(one, far) for one in found]}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif as_csv:
        sys.stdout.write(_csv(found, far))
    else:
        _show(found, far)


def vocabulary(
    site: Annotated[Path, typer.Option(help="The site file.")],
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
) -> None:
    """Write a site's tokens and texts as a CSV list: what a site may hand on so that others can compare or embed it."""
    tokens, _ = read_vocabulary(str(site))
    write_vocabulary(tokens, out)
    typer.echo(f"{out}: {len(tokens)} tokens; codes and words of this site, nothing of a patient")


def _side(name: str, common: EmbeddingTable | None) -> tuple[Sequence[Token], EmbeddingTable]:
    tokens, own = read_vocabulary(name)
    table = common or own
    if table is None:
        raise TableError(
            f"{name}: lists texts without vectors; name a table that has those of both with --table, built by: "
            "sitebridge embed build MODEL --site site.toml --texts vocabulary.csv --out FILE"
        )
    return spoken(tokens), table


def _row(one: Nearest, far: float) -> dict[str, str | float | bool]:
    return {
        "token": one.token.name,
        "text": one.token.text,
        "nearest_token": one.nearest.name,
        "nearest_text": one.nearest.text,
        "cosine": round(one.cosine, 4),
        "far": one.cosine < far,
    }


def _csv(found: Sequence[Nearest], far: float) -> str:
    content = io.StringIO()
    rows = [_row(one, far) for one in found]
    writer = csv.DictWriter(content, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "far": str(row["far"]).lower()} for row in rows)
    return content.getvalue()


def _show(found: Sequence[Nearest], far: float) -> None:
    shown = Table("concept", "nearest known", "cosine")
    for one in found[:_SHOWN]:
        style = "bold" if one.cosine < far else ""
        shown.add_row(Text(one.token.text, style), Text(one.nearest.text), Text(f"{one.cosine:.2f}", style))
    console = Console()
    console.print(shown)
    if len(found) > _SHOWN:
        console.print(f"and {len(found) - _SHOWN} nearer ones; --csv gives all", markup=False)
    distant = sum(one.cosine < far for one in found)
    console.print(f"{distant} of {len(found)} concepts have no near one (cosine below {far:g})", markup=False)
