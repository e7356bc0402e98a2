"""`python -m benchmarks.canaries`: how much a trained model gives away of planted patients, beside what is claimed.

Steinke, Nasr and Jagielski 2023, Privacy Auditing with One (1) Training Run, arXiv 2305.08846: every canary is in or
out by a coin, one model is trained, and somebody who knows the canaries guesses the coins. Under (epsilon, delta) they
cannot be guessed right too often; so guesses that are right give a lower bound on epsilon.

A canary here is about the strongest that a patient can be. It has a token that nobody else has, so that what training
adds in that token's direction is the canary's own, and noise; and a clip so small that it always counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from client.privacy.accounting import epsilon_of
from client.privacy.protection import noise_of
from client.privacy.training import Guard, charge_of
from client.training import Encounters, Stage, train
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.privacy import Privacy
from common.shape import ModelShape

DELTA = 1e-5
CONFIDENCE = 0.95
SAMPLED = Training(
    rounds=1, epochs=10, batches="all", batch_size=150, optimiser="sgd", learning_rate=10.0, momentum=0.9, dropout=0.0
)
WHOLE = SAMPLED.model_copy(update={"epochs": 1, "batch_size": 65_536})  # one step on everybody: nothing hides by chance
CLIP = 0.05
SHAPE = ModelShape(filters=20)
TOKENS, ORDINARY = 30, 1000  # tokens of which ordinary encounters have some, and how many encounters there are
LENGTH = 4.0  # of a table's rows


@dataclass(frozen=True)
class Audit:
    """What one trained model gave away.

    Attributes
    ----------
    claimed : float
        The accountant's epsilon; infinity without noise.
    guesses, right : int
    bound : float
        On epsilon from below.
    """

    claimed: float
    guesses: int
    right: int
    bound: float


def audit(
    epsilon: float | None, training: Training = SAMPLED, canaries: int = 1000, guesses: int = 200, seed: int = 0
) -> Audit:
    """Train once with planted patients, and guess who was there.

    Parameters
    ----------
    epsilon : float or None
        That training keeps to; None for no noise.
    guesses : int
        Of the coins, half of them "in", half "out", where they are surest. Fixed before anything is seen.
    """
    generator = torch.Generator().manual_seed(seed)
    table = torch.zeros(1 + TOKENS + canaries, TOKENS + canaries)
    table[1:] = LENGTH * torch.eye(TOKENS + canaries)
    planted = Encounters(
        _padded(torch.arange(canaries)[:, None] + 1 + TOKENS), torch.randint(0, 2, (canaries,), generator=generator)
    )
    chosen = torch.rand(canaries, generator=generator) < 0.5
    rest = _ordinary(generator)
    there = Encounters(
        torch.cat([rest.tokens, planted.tokens[chosen]]), torch.cat([rest.labels, planted.labels[chosen]])
    )
    noise = 0.0 if epsilon is None else noise_of(Privacy(epsilon=epsilon, delta=DELTA), training, len(there), 1)
    before = initial_weights(table.shape[1], SHAPE, seed)
    model = ConceptCNN(table, SHAPE, 0.0)
    model.load_state_dict(before)
    train(model, Stage(there, there.first(0), training, ("cnn",), lambda number: seed, guard=Guard(CLIP, noise)))
    order, was = _scores(before, model, planted).argsort(), chosen.numpy()
    half = guesses // 2
    right = int(was[order[-half:]].sum() + (~was[order[:half]]).sum())
    claimed = epsilon_of([charge_of(training, len(there), noise, 1)], DELTA) if noise else float("inf")
    return Audit(claimed, 2 * half, right, lower_bound(right, 2 * half, canaries))


def lower_bound(right: int, guesses: int, canaries: int, delta: float = DELTA, confidence: float = CONFIDENCE) -> float:
    """Give the largest epsilon that so many right guesses rule out, by theorem 5.2 of the paper; 0 if there is none."""
    low, high = 0.0, 20.0
    if _likely(right, guesses, canaries, low, delta) > 1 - confidence:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _likely(right, guesses, canaries, middle, delta) <= 1 - confidence else (low, middle)
        )
    return low


def _likely(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Bound the probability of at least so many right guesses under (epsilon, delta)."""
    one = 1 / (1 + np.exp(-epsilon))
    missing = np.arange(1, right + 1)
    below = np.cumsum(stats.binom.pmf(right - missing, guesses, one))  # of right - i to right - 1
    more = float((below / missing).max(initial=0.0))
    return min(1.0, float(stats.binom.sf(right - 1, guesses, one)) + 2 * canaries * delta * more)


def _ordinary(generator: torch.Generator) -> Encounters:
    """Draw encounters whose label follows from their tokens, but for some chance."""
    has = torch.rand(ORDINARY, TOKENS, generator=generator) < 0.2
    tokens = torch.where(has, torch.arange(1, TOKENS + 1), 0)
    signal = has[:, :5].sum(1) - has[:, 5:10].sum(1) + 0.5 * torch.randn(ORDINARY, generator=generator)
    return Encounters(tokens, (signal > 0).long())


def _padded(tokens: Tensor) -> Tensor:
    """Give tokens (N, 1) the length of an ordinary encounter."""
    return torch.nn.functional.pad(tokens, (0, TOKENS - tokens.shape[1]))


def _scores(before: dict[str, Tensor], model: ConceptCNN, planted: Encounters) -> NDArray[np.float64]:
    """Say how far each canary's token moved the way that the canary would move it, (N,)."""
    own = planted.tokens[:, 0] - 1  # the column of the table, whose rows are those of the identity
    moved = model.conv.weight.detach()[:, own, 0] - before["conv.weight"][:, own, 0]  # (F, N)
    head = before["linear.weight"]
    wanted = head[planted.labels] - head[1 - planted.labels]  # (N, F): what lowers the canary's loss
    seen = before["conv.weight"][:, own, 0] * LENGTH + before["conv.bias"][:, None] > 0  # what ReLU lets through
    return np.asarray((moved * wanted.T * seen).sum(0).double().numpy())


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Models for each epsilon.")] = 3,
    canaries: Annotated[int, typer.Option(min=10, help="Planted patients.")] = 1000,
) -> None:
    """Audit at epsilon 8, 3 and 1 and without noise, and print a row for each model as Markdown."""
    print("| training | noise for | claimed epsilon | guessed right | lower bound (95 %) |\n|---|---|---|---|---|")
    for name, training in (("10 epochs, 150 a step", SAMPLED), ("one step on everybody", WHOLE)):
        for epsilon in (None, 8.0, 3.0, 1.0):
            for seed in range(seeds):
                found = audit(epsilon, training, canaries, seed=seed)
                noise = "none" if epsilon is None else f"epsilon {epsilon:g}"
                counted = f"{found.right} of {found.guesses}"
                print(f"| {name} | {noise} | {found.claimed:.2f} | {counted} | {found.bound:.2f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
