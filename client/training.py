"""Training at a site: rounds, epochs, batches, and the best kept by validation AUROC.

Letters: N encounters of a split, B of a batch, L tokens, F filters, C outputs, Q questions (`common.outcome`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.compact import REST, CompactCNN
from client.held_out import HeldOut
from common.config import Training
from common.errors import ConfigError
from common.model import ConceptCNN
from common.outcome import chances, loss
from common.recalibration import figures_of, prior_figures, recalibrated
from common.seeds import derive
from common.selection import BestKept
from common.shape import ModelShape
from common.strategies import CNN, LINEAR
from common.wire import PARTS

if TYPE_CHECKING:  # which itself calls this module
    from client.privacy.training import Guard

State = dict[str, Tensor]
_CHUNK = 8192  # encounters scored at once


@dataclass(frozen=True)
class Encounters:
    """Encounters of one split.

    Attributes
    ----------
    tokens : Tensor
        uint8, int16 or int32 (N, L), rows of the embedding table, 0 for no token.
    labels : Tensor
        int64 (N,), the class; where there are several labels (N, C), 1 for each that an encounter has.
    patients : Tensor or None
        int64 (N,), numbers that tell whose encounters they are; None where each is taken for a patient of its own.
    """

    tokens: Tensor
    labels: Tensor
    patients: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Encounters:
        """Give the first encounters."""
        patients = None if self.patients is None else self.patients[:count]
        return Encounters(self.tokens[:count], self.labels[:count], patients)


@dataclass(frozen=True)
class Stage:
    """What one call of training works on and how.

    Attributes
    ----------
    tuned : tuple of str
        Parts of the model that learn.
    seed_of : callable
        Round number to the seed of its draws (batches and dropout).
    proximal_mu : float
        FedProx: half this times the squared distance from the first weights is added to the loss
        (Li et al. 2020, arXiv 1812.06127, eq. 2).
    basis : Tensor or None
        Of the table's rows, see `client.compact`; used where it gives what training without it gives.
    min_cell : int
        Fewest validation encounters with, and without, a class or label that counts in choosing the best.
    guard : Guard or None
        Keeps training from telling of a patient, see `client.privacy.training`; what is kept is then the last model.
    """

    train: Encounters
    validation: Encounters
    training: Training
    tuned: tuple[str, ...]
    seed_of: Callable[[int], int]
    proximal_mu: float = 0.0
    basis: Tensor | None = None
    min_cell: int = 1
    guard: Guard | None = None


def train(model: ConceptCNN, stage: Stage) -> None:
    """Train all rounds at this site and leave the best candidate's weights in the model.

    A candidate is the model after every round, or, where there is one round only, after every epoch. Under a guard the
    last one is kept: a choice by validation encounters would tell of their patients.
    """
    if stage.guard is not None:
        for number in range(1, stage.training.rounds + 1):
            train_round(model, stage, number)
        return
    best: BestKept[State] = BestKept(stage.training.stop_after)

    def consider() -> bool:
        best.consider(validation_auroc(model, stage.validation, stage.min_cell), snapshot(model))
        return best.exhausted

    single = stage.training.rounds == 1
    for number in range(1, stage.training.rounds + 1):
        train_round(model, stage, number, after_epoch=consider if single else None)
        if not single and consider():
            break
    if best.weights is not None:
        model.load_state_dict(best.weights)


def train_steps(model: ConceptCNN, stage: Stage, steps: Sequence[tuple[str, ...]]) -> None:
    """Train some parts and then others, each time from the best of before; every step draws for itself."""
    for number, tuned in enumerate(steps):
        train(model, replace(stage, tuned=tuned, seed_of=partial(drawn_after, stage.seed_of, number)))


def drawn_after(seed_of: Callable[[int], int], step: int, number: int) -> int:
    """Give the seed of a round of a step; the first step's is the strategy's own."""
    return seed_of(number) if step == 0 else derive(seed_of(number), "step", step)


def train_round(model: ConceptCNN, stage: Stage, number: int, after_epoch: Callable[[], bool] | None = None) -> None:
    """Train the epochs of one round, with a fresh optimiser, so that a round depends on nothing but what came in.

    Parameters
    ----------
    number : int
        Of the round, from 1; gives its seed.
    after_epoch : callable, optional
        Called after every epoch; stops the round by returning true.
    """
    if stage.guard is not None:
        stage.guard.train_round(model, stage)
        return
    generator = torch.Generator().manual_seed(stage.seed_of(number))
    learner = Learner(model, stage)
    stream = batches(len(stage.train), stage.training, generator)
    for _ in range(stage.training.epochs):
        for chosen in next(stream):
            learner.step(chosen, generator)
        if after_epoch is not None:
            learner.write_back()
            if after_epoch():
                return
    learner.write_back()


def batches(count: int, training: Training, generator: torch.Generator) -> Iterator[list[Tensor]]:
    """Give the batches of one epoch after another, as indices int64 (B,) of encounters.

    Where `training.batches` is "all", an epoch is one pass, its last batch smaller. Where it is a number, an epoch has
    that many full batches, and a pass goes on into the next epoch; what fills no batch at a pass's end is left out.
    """
    size = min(training.batch_size, count)
    if training.batches == "all":
        while True:
            yield list(torch.split(torch.randperm(count, generator=generator), size))
    ready: list[Tensor] = []
    while True:
        while len(ready) < training.batches:
            ready += torch.split(torch.randperm(count, generator=generator), size)[: count // size]
        yield ready[: training.batches]
        ready = ready[training.batches :]


class Learner:
    """Takes optimiser steps on the tuned parts of a model; the other parts are frozen."""

    def __init__(self, model: ConceptCNN, stage: Stage) -> None:
        self.wide, self.stage = model, stage
        self.model = CompactCNN(model, stage.basis) if stage.basis is not None and _compacts(model, stage) else model
        tuned = {name for part in stage.tuned for name in PARTS[part]} | {REST}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in tuned)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.came = [p.detach().clone() for p in self.parameters]
        self.optimiser = optimiser(self.parameters, stage.training)
        # A frozen CNN gives every encounter the same pooled filters in every epoch.
        self.pooled = pooled(model, stage.train) if stage.tuned == (LINEAR,) else None

    def step(self, chosen: Tensor, generator: torch.Generator) -> None:
        """Take one step on the encounters `chosen`, int64 (B,)."""
        if self.pooled is not None:
            logits = self.model.head(self.pooled[chosen], generator)
        else:
            logits = self.model(self.stage.train.tokens[chosen], generator)
        cost = loss(self.model.shape, logits, self.stage.train.labels[chosen])
        if self.stage.proximal_mu:
            pairs = zip(self.parameters, self.came, strict=True)
            cost = cost + self.stage.proximal_mu / 2 * sum((p - c).square().sum() for p, c in pairs)
        self.optimiser.zero_grad(set_to_none=False)  # a number that has no gradient still decays
        cost.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def write_back(self) -> None:
        """Bring the model that was given up to date."""
        if isinstance(self.model, CompactCNN):
            self.model.widen_into(self.wide)


def _compacts(model: ConceptCNN, stage: Stage) -> bool:
    """Whether training in few coordinates gives the same."""
    return CNN in stage.tuned and stage.training.optimiser == "sgd" and model.conv.kernel_size == (1,)


def optimiser(parameters: list[torch.nn.Parameter], training: Training) -> torch.optim.Optimizer:
    """Give the configured optimiser."""
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    nesterov = training.momentum > 0
    return torch.optim.SGD(
        parameters, lr=rate, momentum=training.momentum, nesterov=nesterov, weight_decay=decay, fused=True
    )


def half_way(start: ConceptCNN, end: ConceptCNN) -> State:
    """Give the mean of two models' weights.

    Between a model that was tuned and the one that came, it often holds up better on new data than either (Wortsman et
    al. 2022, arXiv 2109.01903).
    """
    other = end.state_dict()
    return {name: (value + other[name]) / 2 for name, value in start.state_dict().items()}


def recalibrate(
    model: ConceptCNN, encounters: Encounters, numbers: int, prevalence: Sequence[float] | None = None
) -> dict[str, float]:
    """Recalibrate a model's head on a site's encounters; give the figures that were fitted.

    Parameters
    ----------
    numbers : int
        See `common.recalibration.figures_of`.
    prevalence : sequence of float, optional
        Of each question where the model was learnt: correct for that alone, and fit nothing.
    """
    labels, shape = encounters.labels.numpy(), model.shape
    if prevalence is not None:
        figures = prior_figures(shape, labels, prevalence)
    else:
        figures = figures_of(shape, labels, all_probabilities(model, encounters), numbers)
    model.load_state_dict(model.state_dict() | recalibrated(model.state_dict(), shape, figures))
    return figures


def snapshot(model: ConceptCNN) -> State:
    """Copy a model's weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def pooled(model: ConceptCNN, encounters: Encounters) -> Tensor:
    """Give the pooled filters, float32 (N, F)."""
    return torch.cat([model.features(chunk) for chunk in torch.split(encounters.tokens, _CHUNK)])


class Baseline(Protocol):
    """What gives probabilities and is no network: an ensemble of some, or a logistic regression."""

    @property
    def shape(self) -> ModelShape:
        """What is predicted."""

    def chances(self, encounters: Encounters) -> NDArray[np.float64]:
        """Give the probability of a yes to each question, float64 (N, Q)."""


Model = ConceptCNN | Baseline


@torch.no_grad()
def all_probabilities(model: Model, encounters: Encounters) -> NDArray[np.float64]:
    """Give the probability of a yes to each question, float64 (N, Q)."""
    if not isinstance(model, ConceptCNN):
        return model.chances(encounters)
    return chances(model.shape, model.head(pooled(model, encounters)))


def probabilities(model: Model, encounters: Encounters) -> NDArray[np.float64]:
    """Give the probability of being positive, float64 (N,).

    Raises
    ------
    ConfigError
        The model tells more apart than two classes.
    """
    if not model.shape.binary:
        raise ConfigError(f"this is for two classes only; the model predicts {model.shape.predicts}")
    return all_probabilities(model, encounters)[:, 0]


def validation_auroc(model: Model, validation: Encounters, min_cell: int = 1) -> float | None:
    """Give the AUROC on validation encounters, of several questions their mean; None where there is none to ask."""
    held = HeldOut.of(model.shape, validation.labels, min_cell)
    return None if held is None else held.auroc(all_probabilities(model, validation))
