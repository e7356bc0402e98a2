"""The command `sitebridge predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)

ModelPath = Annotated[
    Path, typer.Option("--model", help="A run's folder, a file of weights in one, or an exported one.")
]
Embedding = Annotated[str, typer.Option("--embedding", help="Which model: trained with this embedding.")]
From = Annotated[str, typer.Option("--from", help="Which model: learnt at these sites, joined by +.")]
Strategy = Annotated[str, typer.Option("--strategy", help="Which model: source, pooled, linear, full, ...")]
Target = Annotated[str, typer.Option("--target", help="Which model: the one that this site made its own.")]


@app.command()
def predict(
    site: Annotated[Path, typer.Argument(help="The site file.")],
    model: ModelPath,
    encounters: Annotated[Path, typer.Option(help="CSV or Parquet in the form of the site's own; no label.")],
    out: Annotated[Path, typer.Option(help="CSV file to write. It is about patients: it stays here.")],
    embedding: Embedding = "",
    from_: From = "",
    strategy: Strategy = "",
    target: Target = "",
    seed: Annotated[str, typer.Option(help="Which model: of this seed; or all, for the mean over seeds.")] = "",
    concepts: Annotated[int, typer.Option(min=0, max=100, help="Concepts to show that drove a score.")] = 5,
    explain: Annotated[
        str, typer.Option(help="Of several classes or labels: whose score; otherwise the most probable one's.")
    ] = "",
) -> None:
    """Score new encounters with a trained model and this site's own table; nothing leaves this machine."""
    from client.prediction.encounters import read_new
    from client.prediction.names import Names
    from client.prediction.output import Layout, new_file, write_rows
    from client.prediction.scoring import asked_of, score, threshold
    from client.prediction.space import lay_over, open_space
    from client.site_file import load_site
    from common.trained import Asked, open_models

    own = load_site(site)
    _keep(out, [site, encounters, *own.files])
    opened = open_models(model, Asked(embedding, from_, strategy, target, seed, own.name))
    layout = Layout(opened[0].shape, threshold(opened), concepts)
    asked = asked_of(layout.shape, explain)
    known, table = open_space(own, opened[0])
    new = read_new(own, encounters, known.embedding)
    names = Names(new, encounters, own.file.cohort.id)
    over = lay_over([known, *opened[1:]], table, new.vocabulary, new.used(known.embedding).tolist())
    counts = layout.none()
    with new_file(out) as file, _progress(len(new)) as advance:
        write_rows(file, [layout.header(names.heading)])
        for some in score(over, new, asked):
            write_rows(file, layout.lines(some, names[some.place], over.texts))
            counts += layout.tally(some)
            advance(len(some.probabilities))
    for line in _said(len(new), new.left_out, new.not_applied):
        typer.echo(line, err=True)
    words = opened[0].key.words if len(opened) == 1 else f"{opened[0].key.words} and {len(opened) - 1} more, averaged"
    typer.echo(f"{out}: {len(new)} encounters, {layout.said(counts)}; {words}")


def _keep(out: Path, read: list[Path]) -> None:
    """Make sure that the file to write is none of those that are read."""
    from common.errors import ConfigError

    if out.resolve() in [path.resolve() for path in read]:
        raise ConfigError(f"{out}: is read by this command; name another file with --out")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; name a file with --out")


def _said(count: int, left_out: int, not_applied: tuple[str, ...]) -> Iterator[str]:
    if left_out:
        yield f"cohort.where left out {left_out} of {left_out + count} rows"
    if not_applied:
        listed = ", ".join(f'"{name}"' for name in not_applied)
        yield f"cohort.where was not applied for {listed}: the file has no such column"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Count encounters on a terminal, and say nothing in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
