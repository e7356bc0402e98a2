"""The command `sitebridge embed build`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.errors import TableError

if TYPE_CHECKING:  # the model brings torch along: seconds that other commands do not need
    from client.embedding.build import Build, Built
    from client.embedding.embedder import Progress as Callback

_MODEL, _SERVICE = "With a model on this machine", "With a service"
_BATCH, _SERVICE_BATCH = 32, 128


class Pooling(StrEnum):
    """How a text's vector is taken from the model's last layer."""

    mean = "mean"
    cls = "cls"
    last = "last"
    own = "own"


def _option(words: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(help=words, rich_help_panel=panel, show_default=False, **more)


Source = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder, a name on the Hugging Face hub, or a service's name for it.")
]
Out = Annotated[Path, typer.Option("--out", help="File to write, .safetensors.")]
Name = Annotated[str | None, _option("What every site calls the model; needed for a folder.")]
Builtin = Annotated[bool, typer.Option("--builtin", help="Embed the shipped concepts, both wordings.")]
Sites = Annotated[list[Path] | None, _option("Embed a site file's vocabulary; may be repeated.")]
Texts = Annotated[list[Path] | None, _option("Embed a CSV list with columns token,text.")]
Prefix = Annotated[str | None, _option('Put before each text, such as "query: ", where a model was trained so.')]
Batch = Annotated[int | None, _option(f"Texts at a time: {_BATCH}, or {_SERVICE_BATCH} a request.", min=1)]
Cache = Annotated[Path | None, _option("Folder of vectors made before; ~/.cache/sitebridge/vectors.")]
Pool = Annotated[
    Pooling | None, _option("Mean over the word pieces, first, last, or the model's own; mean if not given.", _MODEL)
]
Gguf = Annotated[str | None, _option("File in the model's folder that holds it in GGUF.", _MODEL)]
Url = Annotated[str | None, _option("Address that speaks OpenAI's API, such as https://host/v1.", _SERVICE)]
Dimensions = Annotated[int | None, _option("Numbers a text to ask for.", _SERVICE, min=1)]
KeyEnv = Annotated[str | None, _option("Variable that holds the key; OPENAI_API_KEY if not given.", _SERVICE)]
PerMinute = Annotated[float | None, _option("Requests a minute, at most.", _SERVICE, min=0.01)]
Price = Annotated[float | None, _option("Price of a million tokens, for the estimate.", _SERVICE, min=0)]
Yes = Annotated[bool | None, typer.Option("--yes", help="Send the texts without asking.", rich_help_panel=_SERVICE)]


def build(
    source: Source,
    out: Out,
    name: Name = None,
    builtin: Builtin = False,
    site: Sites = None,
    texts: Texts = None,
    prefix: Prefix = None,
    batch: Batch = None,
    cache: Cache = None,
    pooling: Pool = None,
    gguf: Gguf = None,
    service: Url = None,
    dimensions: Dimensions = None,
    key_env: KeyEnv = None,
    per_minute: PerMinute = None,
    price_per_million: Price = None,
    yes: Yes = None,
) -> None:
    """Build an embedding table with a language model, on this machine or behind a service.

    What was embedded before is taken from a cache, so a build that was interrupted goes on where it stopped.
    """
    local = {"pooling": pooling.value if pooling else None, "gguf": gguf}
    remote = {"dimensions": dimensions, "key_env": key_env, "per_minute": per_minute}
    asked = {"price_per_million": price_per_million, "yes": yes}
    away = service is not None
    _refuse(local if away else remote | asked, away)

    from client.embedding.build import Build, model_name
    from client.embedding.texts import gather
    from client.embedding.writing import check_place

    tokens = gather(builtin, site or [], texts or [])
    check_place(out)
    called = (name or source) if away else model_name(source, name)
    with _embedder(source, service, prefix, batch, local, remote) as embedder:
        plan = Build(embedder, called, tokens, cache or _user_cache())
        if service is not None:
            _agree(plan, service, embedder.origin.prefix, price_per_million, bool(yes))
        with _progress() as progress:
            built = plan.write(out, progress)
    _report(out, built)


def _refuse(given: dict[str, Any], service: bool) -> None:
    """Refuse options of a service without one, and options of a model on this machine with one."""
    if names := [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]:
        where = "a model on this machine" if service else "a service (--service)"
        raise TableError(f"{', '.join(names)}: only with {where}")


@contextmanager
def _embedder(
    source: str, service: str | None, prefix: str | None, batch: int | None, local: Any, remote: Any
) -> Iterator[Any]:
    """Open a model on this machine, or get ready to ask a service."""
    given = {name: value for name, value in (remote if service else local).items() if value is not None}
    if service is None:
        from client.embedding.local import open_local

        yield open_local(source, prefix=prefix, batch=batch or _BATCH, **given)
        return
    from client.embedding.service import open_service

    opened = open_service(service, source, prefix=prefix, batch=batch or _SERVICE_BATCH, **given)
    with closing(opened.door):
        yield opened


def _agree(plan: Build, service: str, prefix: str, price: float | None, yes: bool) -> None:
    from client.embedding.address import is_loopback
    from client.embedding.consent import confirm, estimate

    typer.echo(estimate(plan.to_embed, prefix, price), err=True)
    if not is_loopback(service):
        confirm(service, plan.to_embed, yes)


def _report(out: Path, built: Built) -> None:
    if built.damaged:
        typer.echo(f"damaged parts of the cache, thrown away and made again: {built.damaged}", err=True)
    cached = f", {built.cached} of them from the cache" if built.cached else ""
    typer.echo(f"{out}: {built.texts} texts, {built.dimension} numbers each{cached}")


def _user_cache() -> Path:
    """Give the folder where programs of this user keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sitebridge" / "vectors"


@contextmanager
def _progress() -> Iterator[Callback | None]:
    """Show a bar on a terminal, and nothing in a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("Embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Embedding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
