"""`python -m benchmarks.hostile`: one of five sites is hostile; what each way of joining weights makes of it.

AUROC on the laboratory's test encounters, beside that of the four honest sites alone; `SITEBRIDGE_DATA` names the data.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tomli_w
import torch
import typer
from flwr.app import Context, RecordDict

from benchmarks.hostile_sites import DATA, LIAR, LIES, SITES, LyingGrid, write_sites
from benchmarks.markdown import head, row
from common.config import load_federation, site_files
from common.grid import InProcessGrid
from server.app import app

ATTACKS = (None, "label flip", *(name for name in LIES if name not in DATA), "backdoor")
WAYS: dict[str, dict[str, Any]] = {
    "FedAvg": {},
    "FedAvg, norm bound": {"norm_bound": "median"},
    "FedMedian": {"name": "FedMedian"},
    "FedTrimmedAvg": {"name": "FedTrimmedAvg", "options": {"beta": 0.2}},
    "Krum": {"name": "Krum", "options": {"num_malicious_nodes": 1}},
    "MultiKrum": {"name": "MultiKrum", "options": {"num_malicious_nodes": 1, "num_nodes_to_select": 3}},
}
TARGETS = ("clean", "stamped")
_SITE = Path(__file__).parent.parent / "configs" / "flu-lab" / "kl0.toml"


@dataclass(frozen=True)
class Outcome:
    """AUROC on clean test encounters, and on those whose negatives are stamped with the backdoor's trigger."""

    clean: float
    stamped: float
    named: str  # what was said of sites that are far from the others, or were gone on without


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, with seeds 1, 2, ...")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of one pass over 100 batches.")] = 10,
) -> None:
    """Print the table as Markdown."""
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    settings = {"seeds": list(range(1, seeds + 1)), "training": {"rounds": rounds, "epochs": 1, "patience": "endless"}}
    honest = one(settings, SITES[:-1], None, {})
    print(*head("the fifth site", *WAYS, "named"), sep="\n")
    print(row("is not there", f"{honest.clean:.3f}, {honest.stamped:.3f}", *[""] * len(WAYS)))
    for attack in ATTACKS:
        found = [one(settings, SITES, attack, way) for way in WAYS.values()]
        figures = [f"{each.clean:.3f}" + (f", {each.stamped:.3f}" if attack == "backdoor" else "") for each in found]
        print(row(attack or "is honest", *figures, found[0].named), flush=True)


def one(settings: dict[str, Any], sources: tuple[str, ...], attack: str | None, aggregation: dict[str, Any]) -> Outcome:
    """Run one federation."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_sites(folder, Path(os.environ["SITEBRIDGE_DATA"]) / "flu-lab", _SITE.read_text(), attack)
        content = settings | {
            "name": "five",
            "embeddings": ["one-hot"],
            "strategies": ["direct"],
            "intervals": 100,
            "sites": {name: {"file": f"{name}.toml"} for name in (*sources, *TARGETS)},
            "directions": [{"sources": list(sources), "targets": list(TARGETS)}],
            "aggregation": aggregation,
            "failures": {"policy": "continue", "at_least": 3, "retries": 0},
        }
        path = folder / "federation.toml"
        path.write_text(tomli_w.dumps(content))
        nodes = {name: {"site-files": str(file)} for name, file in site_files(load_federation(path), path).items()}
        grid = LyingGrid(nodes, attack) if attack in LIES else InProcessGrid(nodes)
        (folder / "run").mkdir()
        app(grid, Context(0, 1, {}, RecordDict(), {"federation": str(path), "out": str(folder / "run")}))
        return _outcome(folder / "run")


def _outcome(run: Path) -> Outcome:
    table = pd.read_csv(run / "results.csv")
    direct = table[(table["strategy"] == "direct") & (table["split"] == "test")].groupby("site")["auroc"].mean()
    updates, rounds = pd.read_csv(run / "updates.csv"), pd.read_csv(run / "rounds.csv")
    liar = updates[updates["site"] == LIAR]
    gone = ((rounds["site"] == LIAR) & (rounds["contributed"] == "no")).sum()
    far = f"{liar['from_others'].median():.1f} times as far as usual" if len(liar) else ""
    return Outcome(direct["clean"], direct["stamped"], far if not gone else f"failed in {gone} rounds")


if __name__ == "__main__":
    typer.run(main)
