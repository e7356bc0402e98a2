"""`sitebridge simulate`: a whole federation in one process, through the same two apps that are deployed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer
from flwr.app import Context, RecordDict, UserConfig

from common.config import Federation, load_federation, site_files
from common.errors import ConfigError, SiteError
from common.files import agent_folder, write_atomically
from common.grid import InProcessGrid
from common.strategies import POOLED
from server.aggregation import check_aggregation

RESOLVED = "federation.toml"  # the configuration in a run's folder


def simulate(
    federation: Annotated[Path, typer.Argument(help="The federation's TOML file, or the folder of a run to resume.")],
    preset: Annotated[str | None, typer.Option(help="default or paper; what the file sets itself stays.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seeds instead of the file's; repeatable.")] = None,
    embedding: Annotated[list[str] | None, typer.Option(help="Embeddings instead of the file's; repeatable.")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Strategies instead of the file's; repeatable.")] = None,
    aggregation: Annotated[
        str | None, typer.Option(help="Instead of the file's, as 'FedProx proximal_mu=0.1'.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run; default runs/NAME-TIME.")] = None,
) -> None:
    """Run a federation in this process and print the table."""
    from server.summary import show

    given = {"preset": preset, "seeds": seed, "embeddings": embedding, "strategies": strategy}
    overrides: dict[str, Any] = {key: value for key, value in given.items() if value}
    if aggregation:
        overrides["aggregation"] = parse_aggregation(aggregation)
    if federation.is_dir():
        if overrides or out:
            raise typer.BadParameter("a run is resumed as it was configured; leave out the options")
        show(federation, resume(federation.resolve()))
        return
    checked = load_federation(federation, overrides)
    folder = out or Path("runs") / f"{checked.name}-{datetime.now():%Y%m%d-%H%M%S}"
    run(checked, federation, folder.resolve())
    show(folder, checked)


def parse_aggregation(text: str) -> dict[str, Any]:
    """Read a strategy of Flower's and its options from the command line: a name, then ``key=number`` each.

    Raises
    ------
    ConfigError
        It is something else.
    """
    name, *options = text.split() or [""]
    try:
        pairs = dict(option.split("=") for option in options)
        return {"name": name, "options": {k: int(v) if v.isdigit() else float(v) for k, v in pairs.items()}}
    except ValueError:
        raise ConfigError(f"--aggregation {text!r}: expected a name and options, as FedProx proximal_mu=0.1") from None


def run(federation: Federation, path: Path, folder: Path) -> None:
    """Run a checked federation over the in-process grid.

    Parameters
    ----------
    federation : Federation
        As read from `path`, whose site files it names.
    folder : Path
        Where the run goes; must be empty or absent.

    Raises
    ------
    ConfigError
        A site has no file, or an option of the aggregation is wrong.
    SiteError
        A site failed; its own words, for in a simulation they stay on this machine.
    """
    from server.results import new_folder

    files = site_files(federation, path)
    check_aggregation(federation)
    new_folder(folder)
    write_atomically(folder / RESOLVED, _resolved(federation, files))
    _execute(federation, files, folder)


def resume(folder: Path) -> Federation:
    """Go on with a run that was cut off, to the same bits; give its configuration.

    Raises
    ------
    ConfigError
        The folder holds no run that could go on.
    SiteError
        See `run`.
    """
    from server.results import JOURNAL

    if not (folder / JOURNAL).is_dir():
        raise ConfigError(f"{folder}: no run to resume here; a complete one has no folder {JOURNAL!r} any more")
    federation = load_federation(folder / RESOLVED)
    if federation.aggregation.noise is not None:
        raise ConfigError(
            f"{folder}: a run with drawn noise cannot be resumed: the noise would be another; start it anew"
        )
    _execute(federation, site_files(federation, folder / RESOLVED), folder)
    return federation


def _execute(federation: Federation, files: dict[str, Path], folder: Path) -> None:
    """Run the ServerApp over a grid of the sites, and one node more for all of them pooled."""
    from server.app import app

    nodes = {name: {"site-files": str(file), "out": str(folder)} for name, file in files.items()}
    if POOLED in federation.strategies:
        nodes[POOLED] = {"site-files": "|".join(str(file) for file in files.values())}
    for name, node in nodes.items():
        node["agent-folder"] = str(agent_folder(folder, name))
    config: UserConfig = {"federation": str(folder / RESOLVED), "out": str(folder)}
    with site_log(folder / "site.log") as said:
        try:
            app(InProcessGrid(nodes), Context(0, 1, {}, RecordDict(), config))
        except SiteError as error:
            raise SiteError("\n  ".join([str(error), *dict.fromkeys(said)])) from None


def _resolved(federation: Federation, files: dict[str, Path]) -> str:
    """Give the federation file with every preset key spelt out and every path absolute."""
    content: dict[str, Any] = federation.model_dump(exclude_none=True)
    content["sites"] = {name: {"file": str(file)} for name, file in files.items()}
    return tomli_w.dumps(content)


@contextmanager
def site_log(path: Path) -> Iterator[list[str]]:
    """Keep what sites say to their own log, in a simulation the researcher's too; with tracebacks in a file."""
    said: list[str] = []
    memory, file = _Memory(said), logging.FileHandler(path, delay=True)
    logger, flower = logging.getLogger("sitebridge.site"), logging.getLogger("flwr")
    before = logger.propagate, flower.level
    logger.propagate = False
    flower.setLevel(logging.ERROR)
    for handler in (memory, file):
        logger.addHandler(handler)
    try:
        yield said
    finally:
        for handler in (memory, file):
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = before[0]
        flower.setLevel(before[1])


class _Memory(logging.Handler):
    """Appends messages to a list."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
