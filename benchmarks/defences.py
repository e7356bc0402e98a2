"""`python -m benchmarks.defences`: what attacks find under each defence, and what the defence costs in AUROC."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from attacks.config import plan
from attacks.run import CASES, run
from benchmarks.markdown import head, row
from common.config import Federation, load_federation
from common.privacy import Privacy

CONFIGS = Path(__file__).parents[1] / "configs"
SITE = "target"
# Chosen by AUROC over ten models at sizes 50 and 500; batches of 512 are all encounters there.
NOISY: dict[int, dict[str, Any]] = {
    50: {"epochs": 10, "learning_rate": 0.05},
    500: {"learning_rate": 0.2, "momentum": 0.5},
}
MODELS = {50: 256, 500: 128, 10_000: 16}  # with noise, one by one; without, `PLAIN` together
PLAIN = 32
ATTACKS = ("loss: AUC", "TPR, %", "LiRA: AUC", "TPR, %", "finding, over others", "tokens of a round")


@dataclass(frozen=True)
class Defence:
    """A row of the table at each size.

    Attributes
    ----------
    seen_by : str
        Of those who see something, who sees most.
    epsilon : float or None
        With noise, and the settings that go with it.
    settled : bool
        Has those settings, also without noise.
    """

    name: str
    config: str = "attacks"
    strategy: str = "direct"
    seen_by: str = "coordinator"
    epsilon: float | None = None
    settled: bool = False
    sizes: tuple[int, ...] = (50, 500, 10_000)

    def federation(self, size: int) -> Federation:
        """Give what is attacked at a size."""
        read = load_federation(self.path, {"strategies": [self.strategy]})
        if not self.settled:
            return read
        training = read.training.model_copy(update=NOISY.get(size, {}))
        privacy = None if self.epsilon is None else Privacy(epsilon=self.epsilon)
        return read.model_copy(update={"training": training, "privacy": privacy})

    @property
    def path(self) -> Path:
        """Of the federation file."""
        return CONFIGS / f"{self.config}.toml"

    def line(self, size: int, folder: Path, jobs: int) -> str:
        """Make an audit, or read it where it is made, and give its line."""
        models = PLAIN if self.epsilon is None else MODELS[size]
        audit = plan(self.federation(size), self.path, SITE, [size], models)
        own = folder / f"{self.name}-{size}".replace(" ", "-").replace(",", "")
        run(audit, own, jobs)
        (case,) = audit.cases
        return _line(self, size, json.loads((own / CASES / f"{case.name}.json").read_text()))


DEFENCES = (
    Defence("none"),
    Defence("linear only", strategy="linear", seen_by="everyone"),
    Defence("secure sum of three", "attacks-three", seen_by="sum", sizes=(50, 500)),
    *(Defence(f"epsilon {epsilon:g}", "attacks-noised", epsilon=epsilon, settled=True) for epsilon in (8.0, 3.0, 1.0)),
    Defence("that training, no noise", "attacks-noised", settled=True, sizes=(50, 500)),
)


def _line(defence: Defence, size: int, rows: list[dict[str, Any]]) -> str:
    own = {one["attack"]: one for one in rows if one["seen_by"] == defence.seen_by}
    (finding,) = (one for one in rows if one["attack"] == "attribute")
    (tokens,) = (one for one in rows if one["attack"] == "tokens" and one["detail"] == "round" and _sees(defence, one))
    cells = [defence.name, f"{size:,}", f"{finding['auroc']:.3f} ({finding['auroc_sd']:.3f})"]
    for name in ("loss", "lira"):
        cells += [_interval(own[name], "auc", 3), _interval(own[name], "tpr", 1, 100)]
    precision = "" if tokens["precision"] is None else f" at precision {tokens['precision']:.2f}"
    return row(*cells, _interval(finding, "memorised", 3), f"{tokens['recall']:.1%}{precision}")


def _sees(defence: Defence, found: dict[str, Any]) -> bool:
    return bool(found["seen_by"] == ("sum" if defence.seen_by == "sum" else "coordinator"))


def _interval(found: dict[str, Any], name: str, digits: int, times: float = 1.0) -> str:
    value, low, high = (times * found[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main(
    out: Annotated[Path, typer.Option(help="Folder of the audits; what is made is not made again.")] = Path(
        "runs/defences"
    ),
    size: Annotated[list[int] | None, typer.Option(help="Sizes instead of all; repeatable.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Defences instead of all; repeatable.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Print the table as Markdown; about an hour of one processor."""
    torch.set_num_threads(1)
    print("\n".join(head("defence", "n", "AUROC (sd)", *ATTACKS)))
    for defence in DEFENCES:
        if only and defence.name not in only:
            continue
        for each in defence.sizes:
            if not size or each in size:
                print(defence.line(each, out, jobs), flush=True)


if __name__ == "__main__":
    typer.run(main)
