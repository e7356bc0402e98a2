"""The draws of several models: each has its own generator, and draws what it draws in training alone, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from client.training import Stage, batches
from common.model import ConceptCNN

_STEPS = 50  # drawn at once: one call for many steps, and little memory


@dataclass(frozen=True)
class Draw:
    """What one model draws from in a round."""

    generator: torch.Generator
    stream: Iterator[list[Tensor]]

    @classmethod
    def of(cls, stage: Stage, number: int) -> Draw:
        """Begin a round's draws."""
        generator = torch.Generator().manual_seed(stage.seed_of(number))
        return cls(generator, batches(len(stage.train), stage.training, generator))


@dataclass(frozen=True)
class Block:
    """Some steps of every model.

    Attributes
    ----------
    chosen : Tensor
        int64 (M, T, B), indices of each model's own encounters.
    keep : Tensor
        float32 (T, M, B, F), 0 where dropout drops a pooled filter, else 1.
    """

    chosen: Tensor
    keep: Tensor


def blocks(draws: Sequence[Draw], model: ConceptCNN) -> Iterator[Block]:
    """Draw an epoch for models of one shape, in blocks of batches of one size."""
    epochs = [next(draw.stream) for draw in draws]
    for start, stop in _spans([len(batch) for batch in epochs[0]]):
        chosen = torch.stack([torch.stack(epoch[start:stop]) for epoch in epochs])
        yield Block(chosen, _keep(draws, model, chosen.shape[1], chosen.shape[2]))


def _spans(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Cut an epoch where the size of its batches changes, and after so many steps."""
    start = 0
    for _, alike in groupby(sizes):
        stop = start + len(list(alike))
        while start < stop:
            end = min(start + _STEPS, stop)
            yield start, end
            start = end


def _keep(draws: Sequence[Draw], model: ConceptCNN, steps: int, size: int) -> Tensor:
    """Draw the masks of dropout; of one call for many steps come the numbers of a call for each."""
    shape = (steps, size, model.linear.in_features)
    if model.dropout == 0:
        return torch.ones(steps, len(draws), *shape[1:])
    keep = torch.empty(len(draws), *shape)
    for own, draw in zip(keep, draws, strict=True):
        own.uniform_(generator=draw.generator)
    return keep.ge_(model.dropout).transpose(0, 1)
