"""`python -m benchmarks.together [--runs N]`: five seeds trained together against one by one, in one table.

CPU seconds are given beside those of the clock: on a machine that others use as well they say more.
"""

from __future__ import annotations

import copy
import platform
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from client.compact import basis_of
from client.together import train_together
from client.training import Encounters, Stage, train
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import EVERYTHING, LINEAR

SEEDS = (215, 401, 114514, 1, 2)
TWO, NAMES = ModelShape(), ("a", "b", "c", "d")
# what both presets tune with, over some of their 50 epochs
TUNING = Training(
    rounds=1, epochs=5, batches=100, batch_size=32, optimiser="sgd", learning_rate=0.01, weight_decay=1e-3, dropout=0.5
)
Runs = Annotated[int, typer.Option(min=1, help="Counted runs of each way.")]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """What is trained: encounters whose concepts have so many values each, all alike often."""

    name: str
    training: Training = TUNING
    encounters: int = 5000
    concepts: int = 72
    values: int = 3
    dimension: int = 768
    tuned: tuple[str, ...] = EVERYTHING
    shape: ModelShape = TWO

    def bench(self, seeds: tuple[int, ...]) -> tuple[list[ConceptCNN], list[Stage]]:
        """Give a model and a stage for each seed; they share encounters."""
        rows = self.concepts * self.values
        table = torch.randn(rows, self.dimension, generator=torch.Generator().manual_seed(0))
        table = table / table.norm(dim=1, keepdim=True) * 4  # as a table that is centred and scaled
        table[0] = 0
        train_on, validation = self._draw(1, self.encounters), self._draw(2, self.encounters // 4)
        basis, models, stages = basis_of(table), [], []
        for seed in seeds:
            model = ConceptCNN(table, self.shape, self.training.dropout)
            model.load_state_dict(initial_weights(self.dimension, self.shape, seed))
            draws = partial(derive, seed, "train")
            models.append(model)
            stages.append(Stage(train_on, validation, self.training, self.tuned, draws, basis=basis))
        return models, stages

    def _draw(self, seed: int, count: int) -> Encounters:
        generator = torch.Generator().manual_seed(seed)
        values = torch.randint(0, self.values, (count, self.concepts), generator=generator)
        tokens = (values + self.values * torch.arange(self.concepts)).to(torch.int16)
        if self.shape.labels is not None:
            return Encounters(tokens, torch.randint(0, 2, (count, self.shape.outputs), generator=generator))
        return Encounters(tokens, torch.randint(0, self.shape.outputs, (count,), generator=generator))


LAB = Case("as the laboratory's benchmark: V = 126, L = 63, N = 8,000", concepts=63, values=2, encounters=8000)
USUAL = Case("V = 216, L = 72, N = 5,000, D = 768, batches of 32")
CASES = (
    LAB,
    replace(LAB, name="the same, N = 800", encounters=800),
    replace(LAB, name="the same, D = 3,072", dimension=3072),
    replace(LAB, name="the same, only the linear head", tuned=(LINEAR,)),
    replace(LAB, name="the same, four classes", shape=ModelShape(classes=NAMES)),
    replace(LAB, name="the same, four labels", shape=ModelShape(labels=NAMES)),
    USUAL,
    replace(USUAL, name="the same, N = 1,000", encounters=1000),
    replace(USUAL, name="the same, D = 3,072", dimension=3072),
    replace(USUAL, name="the same, batches of 64", training=TUNING.model_copy(update={"batch_size": 64})),
    replace(USUAL, name="the same, only the linear head", tuned=(LINEAR,)),
)


def one_by_one(models: list[ConceptCNN], stages: list[Stage]) -> None:
    """Train each model alone."""
    for model, stage in zip(models, stages, strict=True):
        train(model, stage)


def compare(case: Case, runs: int, seeds: tuple[int, ...] = SEEDS) -> tuple[list[Pair], list[Pair], bool]:
    """Run both ways in turn, after one run of each that does not count.

    Returns
    -------
    tuple of two lists of pairs, and bool
        Seconds one by one and together, by the clock and of CPU; whether all weights were the same to the bit.
    """
    untrained, stages = case.bench(seeds)
    walls, cpus, same = [], [], True
    for _ in range(runs + 1):
        alone, ours = copy.deepcopy(untrained), copy.deepcopy(untrained)
        times = [(time.perf_counter(), time.process_time())]
        for way, models in ((one_by_one, alone), (train_together, ours)):
            way(models, stages)
            times.append((time.perf_counter(), time.process_time()))
        (wall, cpu), (wall2, cpu2), (wall3, cpu3) = times
        walls.append((wall2 - wall, wall3 - wall2))
        cpus.append((cpu2 - cpu, cpu3 - cpu2))
        same = same and all(_equal(one, other) for one, other in zip(alone, ours, strict=True))
    return walls[1:], cpus[1:], same


def _equal(one: ConceptCNN, other: ConceptCNN) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def _ratio(pairs: list[Pair]) -> str:
    ratios = sorted(alone / ours for alone, ours in pairs)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def main(runs: Runs = 5) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    table = Table(title=f"5 seeds, medians of {runs} runs in turn; {machine}", title_justify="left")
    for heading in ("what", "one by one", "together", "CPU ratio", "wall ratio", "same bits"):
        table.add_column(heading)
    for case in CASES:
        walls, cpus, same = compare(case, runs)
        alone, ours = (statistics.median(times) for times in zip(*cpus, strict=True))
        cells = f"{alone:.2f} CPU s", f"{ours:.2f} CPU s", _ratio(cpus), _ratio(walls), "yes" if same else "no"
        table.add_row(case.name, *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
