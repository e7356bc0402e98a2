"""`python -m benchmarks.secure`: what a round of secure aggregation costs, beside a plain one, in bytes and seconds.

Sites of 300 drawn encounters in one process; CPU seconds, for the machine may be busy.
"""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import torch
import typer
from flwr.app import Message

from benchmarks.markdown import head, row
from client.hospitals.generate import write_hospitals
from common.config import Federation, load_federation, site_files
from common.grid import InProcessGrid
from common.tasks import Answer
from common.transport import CONFIG, content_of
from server.run import FederatedRun

ENCOUNTERS, ROUNDS = 300, 3


class Clock(InProcessGrid):
    """Carries messages in process, counts each site's CPU seconds, and lets some sites be away when they are to mask.

    Parameters
    ----------
    nodes : mapping
        See `InProcessGrid`.
    gone : set of str
        Sites that do not answer a training task.
    """

    def __init__(self, nodes: dict[str, dict[str, str]], gone: set[str]) -> None:
        super().__init__(nodes)
        self.gone = {info.node_id: info.name for info in self.get_nodes() if info.name in gone}
        self.seconds: dict[int, list[float]] = {}  # of each node, in order

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages one by one."""
        return [self._timed(message) for message in messages]

    def _timed(self, message: Message) -> str:
        node, begun = message.metadata.dst_node_id, time.process_time()
        (number,) = super().push_messages([message])
        self.seconds.setdefault(node, []).append(time.process_time() - begun)
        task = json.loads(str(message.content.config_records[CONFIG]["task"]))
        if node in self.gone and task.get("strategy") == "source":
            away = Answer("agent-down", self.gone[node])
            self._replies[number] = Message(content_of(away), reply_to=message)
        return number


def main(
    sites: Annotated[list[int] | None, typer.Option(min=3, help="Numbers of sites; repeatable.")] = None,
) -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    print(
        *head("sites", "aggregation", "messages", "to a site", "from a site", "a site, s", "coordinator, s"), sep="\n"
    )
    for count in sites or [3, 10, 50]:
        away = count // 10
        ways = [("plain", False, 0), ("secure", True, 0), *([(f"secure, {away} away", True, away)] if away else [])]
        for name, secure, gone in ways:
            print(row(str(count), name, *measured(count, secure, gone)), flush=True)


def measured(count: int, secure: bool, gone: int) -> list[str]:
    """Run a federation of so many sites; give medians over its rounds."""
    with tempfile.TemporaryDirectory() as scratch:
        federation, files = _written(Path(scratch), count, secure)
        names = list(files)
        grid = Clock({name: {"site-files": str(file)} for name, file in files.items()}, set(names[:gone]))
        out = Path(scratch) / "run"
        out.mkdir()
        at: list[tuple[float, float]] = [(time.process_time(), 0.0)]

        def advance(text: str) -> None:
            if text.startswith("round"):
                at.append((time.process_time(), sum(map(sum, grid.seconds.values()))))

        run = FederatedRun(federation, grid, out, "bench", advance)
        run.execute()
        return _figures(run, grid, names[-1], at, secure)


def _figures(run: FederatedRun, grid: Clock, site: str, at: list[tuple[float, float]], secure: bool) -> list[str]:
    crossed = run.courier.exchange.table()
    own = crossed[(crossed["site"] == site) & (crossed["phase"] == "source") & (crossed["round"] == ROUNDS)]
    sizes = own.groupby("direction")["bytes"].sum()
    steps = len(own) // 2
    node = next(info.node_id for info in grid.get_nodes() if info.name == site)
    mine = grid.seconds[node][1:]  # after the greeting
    of_site = statistics.median(sum(mine[start : start + steps]) for start in range(steps, ROUNDS * steps, steps))
    rounds = [(b[0] - a[0]) - (b[1] - a[1]) for a, b in pairwise(at[1:])]
    return [
        str(steps),
        f"{sizes['out'] / 1000:,.0f} kB",
        f"{sizes['back'] / 1000:,.0f} kB",
        f"{of_site:.2f}",
        f"{statistics.median(rounds):.2f}",
    ]


def _written(folder: Path, count: int, secure: bool) -> tuple[Federation, dict[str, Path]]:
    """Write the sites and the federation file."""
    write_hospitals(folder, count * ENCOUNTERS, 1)
    top, *rows = (folder / "allegheny.csv").read_text().splitlines(keepends=True)
    site_file = (folder / "allegheny.toml").read_text()
    names = [f"site-{number:02}" for number in range(count)]
    for number, name in enumerate(names):
        (folder / f"{name}.csv").write_text("".join([top, *rows[number::count]]))
        (folder / f"{name}.toml").write_text(site_file.replace("allegheny", name))
    content: dict[str, Any] = {
        "name": "bench",
        "seeds": [1],
        "embeddings": ["minilm"],
        "strategies": ["direct"],
        "intervals": 100,
        "sites": {name: {"file": f"{name}.toml"} for name in names},
        "directions": [{"sources": names}],
        "training": {"rounds": ROUNDS, "epochs": 1, "batches": 4, "patience": "endless"},
        "aggregation": {"secure": secure},
        "failures": {"training": {"policy": "continue", "retries": 0}},
    }
    path = folder / "federation.toml"
    path.write_text(tomli_w.dumps(content))
    federation = load_federation(path)
    return federation, site_files(federation, path)


if __name__ == "__main__":
    typer.run(main)
