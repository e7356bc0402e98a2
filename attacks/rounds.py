"""Federated averaging of many federations at once, alike but for one site's encounters; and what each party sees of it.

The coordinator's part is that of `server.phases`: the same mean, the same choice of the best round, the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.trainers import Trainer
from client.training import Stage, State, snapshot, validation_auroc
from common.model import ConceptCNN
from common.selection import BestKept
from common.shape import ModelShape


@dataclass(frozen=True)
class Source:
    """A source, in every federation.

    Attributes
    ----------
    stages : list of Stage
        One for each federation.
    """

    table: Tensor
    stages: list[Stage]

    def model(self, weights: State, shape: ModelShape) -> ConceptCNN:
        """Give a model with these weights over the source's table."""
        model = ConceptCNN(self.table, shape, self.stages[0].training.dropout)
        model.load_state_dict(weights)
        return model


@dataclass(frozen=True)
class Round:
    """What crossed in one round, for the federations that are still running.

    Attributes
    ----------
    running : list of int
        Their places.
    came, answered, joined : list of State
        What went to the sources, what the one that is watched answered, and the mean over all.
    """

    running: list[int]
    came: list[State]
    answered: list[State]
    joined: list[State]


def learn(
    sources: Sequence[Source],
    start: State,
    shape: ModelShape,
    trainer: Trainer,
    watched: int = 0,
    watch: Callable[[Round], None] | None = None,
) -> list[State]:
    """Let the sources of every federation train together; give the model that each releases.

    Parameters
    ----------
    watched : int
        Place of the source whose answers are told.
    watch : callable, optional
        Told what crossed, after every round.
    """
    training, count = sources[0].stages[0].training, len(sources[0].stages)
    weights, running = [start] * count, list(range(count))
    best: list[BestKept[State]] = [BestKept(training.stop_after) for _ in range(count)]
    for number in range(1, training.rounds + 1):
        came = [weights[k] for k in running]
        answers = [answers_of(source, came, running, shape, trainer, number) for source in sources]
        each = zip(running, zip(*answers, strict=True), strict=True)
        joined = [mean_of(sources, own, k, trainer) for k, own in each]
        if watch is not None:
            watch(Round(list(running), came, answers[watched], joined))
        if number > 1:
            _consider(sources, best, weights, running, shape)
        for k, state in zip(list(running), joined, strict=True):
            if best[k].exhausted:
                running.remove(k)  # what this round made is no candidate, see `server.phases`
            else:
                weights[k] = state
        if not running:
            break
    _consider(sources, best, weights, running, shape)
    return [weights[k] if kept.weights is None else kept.weights for k, kept in enumerate(best)]


def answers_of(
    source: Source, came: Sequence[State], running: Sequence[int], shape: ModelShape, trainer: Trainer, number: int
) -> list[State]:
    """Train one round of a source in each federation; give what it answers."""
    models = [source.model(weights, shape) for weights in came]
    trainer.round(models, [source.stages[k] for k in running], number)
    return [snapshot(model) for model in models]


def mean_of(sources: Sequence[Source], answers: Sequence[State], k: int, trainer: Trainer) -> State:
    """Give the mean of the sources' weights by what they trained on, in float64, as Flower's FedAvg."""
    counts = [trainer.counted(source.stages[k].train) for source in sources]
    shares = [count / sum(counts) for count in counts]
    result = {}
    for name in answers[0]:
        total = torch.zeros_like(answers[0][name], dtype=torch.float64)
        for share, answer in zip(shares, answers, strict=True):
            total += share * answer[name].double()
        result[name] = total.float()
    return result


def _consider(
    sources: Sequence[Source],
    best: Sequence[BestKept[State]],
    weights: Sequence[State],
    running: Sequence[int],
    shape: ModelShape,
) -> None:
    """Take what came to the sources as a candidate, by their mean validation AUROC."""
    for k in running:
        total, encounters = 0.0, 0
        for source in sources:
            stage = source.stages[k]
            score = validation_auroc(source.model(weights[k], shape), stage.validation, stage.min_cell)
            if score is not None:
                total, encounters = total + score * len(stage.validation), encounters + len(stage.validation)
        best[k].consider(total / encounters if encounters else None, weights[k])
