"""`python -m benchmarks.privacy`: AUROC on the laboratory's benchmark by epsilon, trained alone and transferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from client.preparation import Prepared, prepare
from client.privacy.protection import noise_of
from client.privacy.training import Guard
from client.site_file import load_site
from client.training import Stage, probabilities, snapshot, train
from common.config import Training, preset_of
from common.metrics import auroc
from common.model import ConceptCNN, initial_weights
from common.privacy import Privacy
from common.shape import ModelShape
from common.strategies import EVERYTHING, LINEAR
from common.tasks import Embedding

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
SHAPE = ModelShape()
# Large batches, a high rate, no dropout and few epochs: what noise leaves room for. Chosen at one seed.
NOISY = Training(
    rounds=1, epochs=20, batches="all", batch_size=512, optimiser="sgd", learning_rate=0.5, momentum=0.9, dropout=0.0
)
NOISY_TUNING = NOISY.model_copy(update={"epochs": 10, "batch_size": 100, "learning_rate": 0.2})
SOURCES = ("kl1", "kl5")
State = dict[str, Tensor]


def trained(
    data: Prepared, start: State, epsilon: float | None, training: Training, tuned: tuple[str, ...], seed: int
) -> State:
    """Train from some weights, with noise for an epsilon, or without as the default preset does."""
    guard = None
    if epsilon is not None:
        guard = Guard(1.0, noise_of(Privacy(epsilon=epsilon), training, len(data.splits["train"]), 1))
    model = ConceptCNN(data.table, SHAPE, training.dropout)
    model.load_state_dict(start)
    splits = data.splits
    train(
        model,
        Stage(splits["train"], splits["validation"], training, tuned, lambda _: seed, basis=data.basis, guard=guard),
    )
    return snapshot(model)


def scored(data: Prepared, state: State) -> float:
    """Give the AUROC on the test encounters."""
    model = ConceptCNN(data.table, SHAPE)
    model.load_state_dict(state)
    return auroc(data.splits["test"].labels.numpy(), probabilities(model, data.splits["test"]))


def row(sites: dict[str, Prepared], epsilon: float | None, seed: int) -> dict[str, float]:
    """Give the AUROC of every way to a model at one epsilon."""
    tuning = Training.model_validate(preset_of("default")["tuning"])  # 50 epochs without a break, as `local` has them
    alone, tuned = (tuning, tuning) if epsilon is None else (NOISY, NOISY_TUNING)
    whole, few = sites["target"], sites["target-500"]
    start = initial_weights(whole.table.shape[1], SHAPE, seed)
    found = {"alone, 7,933": scored(whole, trained(whole, start, epsilon, alone, EVERYTHING, seed))}
    found["alone, 398"] = scored(few, trained(few, start, epsilon, tuned, EVERYTHING, seed))
    for source in SOURCES:
        came = trained(sites[source], start, epsilon, alone, EVERYTHING, seed)
        found[f"{source} direct"] = scored(few, came)
        found[f"{source} linear"] = scored(few, trained(few, came, epsilon, tuned, (LINEAR,), seed))
        found[f"{source} full"] = scored(few, trained(few, came, epsilon, tuned, EVERYTHING, seed))
    return found


def main(seeds: Annotated[int, typer.Option(min=1, help="Models of each kind.")] = 3) -> None:
    """Print means and ranges over seeds as Markdown; about ten minutes."""
    torch.set_num_threads(1)
    folder = Path(__file__).parents[1] / "configs" / "flu-lab"
    names = ("target", "target-500", *SOURCES)
    sites = {name: prepare(load_site(folder / f"{name}.toml"), MINILM, whole=True) for name in names}
    for epsilon in (None, 8.0, 3.0, 1.0):
        found = [row(sites, epsilon, seed) for seed in range(seeds)]
        if epsilon is None:
            print("| epsilon | " + " | ".join(found[0]) + " |\n|---" + "|---" * len(found[0]) + "|")
        each = [np.array([own[key] for own in found]) for key in found[0]]
        cells = [f"{values.mean():.3f} ({values.min():.3f}-{values.max():.3f})" for values in each]
        print(f"| {'none' if epsilon is None else f'{epsilon:g}'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
