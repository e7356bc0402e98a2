"""Rounds, epochs and candidates of several models at once; each stops, and is left as its best candidate, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from client.together.draws import Draw, blocks
from client.together.learning import Learning
from client.together.pooling import MOST, order_of
from client.training import Stage, State, drawn_after, snapshot, train
from common.model import ConceptCNN
from common.selection import BestKept
from common.strategies import LINEAR

_AT_ONCE = 16  # models; more are no faster, and take more memory


def train_together(models: Sequence[ConceptCNN], stages: Sequence[Stage]) -> None:
    """Train every model as `client.training.train` trains it alone with its stage, many at once.

    Parameters
    ----------
    models : sequence of ConceptCNN
        Left with the weights of their best candidates.
    stages : sequence of Stage
        One for each model. Encounters, also their number, and seeds may differ from model to model.

    Notes
    -----
    Weights are those of training alone to the bit, in any company. Models go together where they have one table, one
    shape, and the same training, parts that learn and sizes of batches. Kernels wider than 1, and CNNs that learn from
    encounters with one token in several columns, are trained one by one.
    """
    for group in _alike(models, stages):
        for start in range(0, len(group), _AT_ONCE):
            some = group[start : start + _AT_ONCE]
            _train_alike([models[i] for i in some], [stages[i] for i in some])


def train_steps_together(
    models: Sequence[ConceptCNN], stages: Sequence[Stage], steps: Sequence[tuple[str, ...]]
) -> None:
    """Train some parts and then others, as `client.training.train_steps` does for each model alone."""
    for number, tuned in enumerate(steps):
        train_together(
            models,
            [replace(s, tuned=tuned, seed_of=partial(drawn_after, s.seed_of, number)) for s in stages],
        )


def _alike(models: Sequence[ConceptCNN], stages: Sequence[Stage]) -> list[list[int]]:
    """Group the places of models that can go together."""
    groups: list[list[int]] = []
    for i, pair in enumerate(zip(models, stages, strict=True)):
        known = (group for group in groups if _go_together((models[group[0]], stages[group[0]]), pair))
        group = next(known, None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


def _go_together(one: tuple[ConceptCNN, Stage], other: tuple[ConceptCNN, Stage]) -> bool:
    return _kind(*one) == _kind(*other) and torch.equal(one[0].table, other[0].table)


def _kind(model: ConceptCNN, stage: Stage) -> tuple[object, ...]:
    """Give what models must share."""
    tokens, training = stage.train.tokens, stage.training
    passes = len(tokens) if training.batches == "all" else min(training.batch_size, len(tokens))
    shapes = [value.shape for value in model.state_dict().values()]
    own = stage.tuned, stage.proximal_mu, id(stage.basis), tokens.shape[1], passes
    return shapes, model.shape, model.dropout, training, *own


def _train_alike(models: Sequence[ConceptCNN], stages: Sequence[Stage]) -> None:
    """Train models that share what they must, together if that is possible."""
    model, stage = models[0], stages[0]
    rows, filters = len(model.table), model.linear.in_features
    possible = model.conv.kernel_size == (1,) and bool(stage.tuned) and len(stage.train) > 0
    if possible and stage.tuned == (LINEAR,):
        _train(models, stages, None)
        return
    order = order_of([s.train.tokens for s in stages], rows) if possible and rows * filters <= MOST else None
    if order is not None:
        _train(models, stages, order)
        return
    for each, own in zip(models, stages, strict=True):
        train(each, own)


@torch.no_grad()
def _train(models: Sequence[ConceptCNN], stages: Sequence[Stage], order: Tensor | None) -> None:
    """Train models that go together, see `client.training.train`."""
    training = stages[0].training
    race = Race(Learning(models, stages, order), [BestKept(training.stop_after) for _ in models])
    for number in range(1, training.rounds + 1):
        race.round(number)
        if training.rounds > 1:
            race.consider()
        if not race.running:
            break
    for model, kept in zip(models, race.best, strict=True):
        if kept.weights is not None:
            model.load_state_dict(kept.weights)


@dataclass
class Race:
    """Which models are still running, and the best candidate of each."""

    learning: Learning
    best: list[BestKept[State]]

    @property
    def running(self) -> list[int]:
        """Give the places of the models that are."""
        return self.learning.running

    def round(self, number: int) -> None:
        """Train the epochs of a round; where there is one only, a candidate is what an epoch leaves."""
        learning = self.learning
        learning.begin_round()
        draws = {k: Draw.of(learning.stages[k], number) for k in self.running}
        for _ in range(learning.training.epochs):
            for block in blocks([draws[k] for k in self.running], learning.models[0]):
                learning.steps(block)
            if learning.training.rounds == 1:
                self.consider()
            if not self.running:
                return

    def consider(self) -> None:
        """Take every running model as a candidate; those that are exhausted run no more."""
        self.learning.write_back()
        for k in self.running:
            model = self.learning.models[k]
            self.best[k].consider(self.learning.validation.auroc(k, model), snapshot(model))
        self.learning.keep([i for i, k in enumerate(self.running) if not self.best[k].exhausted])
