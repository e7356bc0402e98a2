"""Steps of several models at once.

What training alone does with a matrix is done here by the very same calls, model by model, on arrays that begin where
theirs would; what it does number by number is done for all models at once. So the bits are those of training alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from client.compact import CompactCNN
from client.together.draws import Block
from client.together.errors import of_classes, of_labels
from client.together.pooling import Pooling
from client.together.scoring import Pools, Validations
from client.training import Learner, Stage, optimiser
from common.model import ConceptCNN
from common.strategies import CNN, LINEAR

_ALIGNED = 16  # numbers of 4 bytes; torch's own arrays begin at multiples of 64 bytes


class Own(Learner):
    """What is a model's own: its numbers as training alone has them, and views of them."""

    def __init__(self, wide: ConceptCNN, stage: Stage) -> None:
        super().__init__(wide, replace(stage, train=stage.train.first(0)))  # pooled filters come from `Frozen`
        kernel, self.bias = self.model.conv.parameters()
        self.head, self.head_bias = self.model.linear.parameters()
        self.kernel, self.head_across = kernel[:, :, 0].T, self.head.T  # (R, F), (F, C)
        self.table = self.model.table
        if CNN in stage.tuned:
            self.kernel_gradient, self.bias_gradient = _gradient(kernel)[:, :, 0], _gradient(self.bias)
        if LINEAR in stage.tuned:
            self.head_gradient, self.head_bias_gradient = _gradient(self.head), _gradient(self.head_bias)

    def pull(self) -> None:
        """Add the gradient of FedProx's term."""
        if isinstance(self.model, CompactCNN):
            _gradient(self.model.rest).zero_()  # the only number that the loss itself gives no gradient
        for parameter, came in zip(self.parameters, self.came, strict=True):
            # rounded where autograd rounds
            _gradient(parameter).add_((parameter - came).mul_(2).mul_(self.stage.proximal_mu / 2))


class Frozen:
    """Pooled filters under CNNs that do not learn: each encounter's are taken once."""

    def __init__(self, models: Sequence[ConceptCNN], stages: Sequence[Stage]) -> None:
        pools = Pools([stage.train.tokens for stage in stages], len(models[0].table))
        self.pooled = [pools.pooled(k, model) for k, model in enumerate(models)]

    def steps(self, owns: Sequence[Own], running: Sequence[int], chosen: Tensor) -> Iterator[Tensor]:
        """Give the pooled filters (M, B, F) of each step."""
        return iter(torch.stack([self.pooled[k][own] for k, own in zip(running, chosen, strict=True)], dim=1))

    def back(self, owns: Sequence[Own], gradient: Tensor) -> None:
        """Do nothing: what is frozen has no gradient."""


class Learnt:
    """Pooled filters under CNNs that learn."""

    def __init__(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], order: Tensor) -> None:
        filters = models[0].linear.in_features
        sets = [stage.train.tokens for stage in stages]
        self.pooling = Pooling(sets, order, filters, stages[0].training.batch_size)
        self.gradient = torch.zeros(len(order), filters)  # of the projected table
        self.across, self.flat = self.gradient.T, self.gradient.view(-1)
        self.maxima = torch.empty(0)

    def steps(self, owns: Sequence[Own], running: Sequence[int], chosen: Tensor) -> Iterator[Tensor]:
        """Give the pooled filters (M, B, F) of each step."""
        batches = [self.pooling.batches(k, own) for k, own in zip(running, chosen, strict=True)]
        self.maxima = torch.empty(len(running), chosen.shape[2], self.gradient.shape[1], dtype=torch.float64)
        outs = self.maxima.unbind()
        for step in zip(*batches, strict=True):
            for own, batch, out in zip(owns, step, outs, strict=True):
                torch.addmm(own.bias, own.table, own.kernel, out=self.pooling.projected)
                self.pooling.maxima(batch, out)
            yield self.maxima.float().relu_()

    def back(self, owns: Sequence[Own], gradient: Tensor) -> None:
        """Write the gradients of the kernels, from those (M, B F) of the pooled filters of the last step."""
        winners = self.pooling.winners(self.maxima)
        for own, cells, numbers in zip(owns, winners, gradient, strict=True):
            self.gradient.zero_()
            self.flat.scatter_add_(0, cells, numbers)
            torch.mm(self.across, own.table, out=own.kernel_gradient)
            torch.sum(self.gradient, 0, out=own.bias_gradient)


class Learning:
    """Several models in training.

    Attributes
    ----------
    running : list of int
        Those that go on.
    """

    def __init__(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], order: Tensor | None) -> None:
        self.models, self.stages, self.training = list(models), list(stages), stages[0].training
        self.running = list(range(len(models)))
        self.validation = Validations(stages, models[0].shape, len(models[0].table))
        self.pooled = Frozen(models, stages) if order is None else Learnt(models, stages, order)

    def begin_round(self) -> None:
        """Start from the models as they are, with a fresh optimiser."""
        self.owns = [Own(self.models[k], self.stages[k]) for k in self.running]
        for own in self.owns:
            if isinstance(own.model, CompactCNN):  # its table equals the others'; one stays in a processor's own memory
                own.table = self.owns[0].table
        self.optimiser = optimiser([p for own in self.owns for p in own.parameters], self.training)

    def keep(self, going: list[int]) -> None:
        """Go on with these of the running models alone."""
        self.running, self.owns = [self.running[i] for i in going], [self.owns[i] for i in going]
        self.optimiser.param_groups[0]["params"] = [p for own in self.owns for p in own.parameters]

    def write_back(self) -> None:
        """Bring the running models up to date."""
        for own in self.owns:
            own.write_back()

    def steps(self, block: Block) -> None:
        """Take a block of steps."""
        pairs = zip(self.running, block.chosen, strict=True)
        labels = torch.stack([self.stages[k].train.labels[own] for k, own in pairs], dim=1)
        room = Room(block.keep.shape[1:], self.owns[0].head.shape[0])
        steps = self.pooled.steps(self.owns, self.running, block.chosen)
        for pooled, true, keep in zip(steps, labels, block.keep, strict=True):
            self._step(pooled, true, keep, room)

    def _step(self, pooled: Tensor, labels: Tensor, keep: Tensor, room: Room) -> None:
        """Take a step from pooled filters (M, B, F), labels (M, B) or (M, B, C), and what dropout keeps (M, B, F)."""
        stage, kept = self.stages[0], 1 - self.models[0].dropout
        torch.mul(pooled, keep, out=room.hidden).div_(kept)
        for own, x, logits in zip(self.owns, room.hiddens, room.logits_each, strict=True):
            torch.addmm(own.head_bias, x, own.head_across, out=logits)
        if self.models[0].shape.labels is None:
            room.errors.copy_(of_classes(room.logits, labels))
        else:
            of_labels(room.logits_each, labels, room.errors_each)
        if LINEAR in stage.tuned:
            for own, x, errors, across in zip(self.owns, room.hiddens, room.errors_each, room.across, strict=True):
                torch.mm(across, x, out=own.head_gradient)
                torch.sum(errors, 0, out=own.head_bias_gradient)
        if CNN in stage.tuned:
            for own, errors, back in zip(self.owns, room.errors_each, room.backs, strict=True):
                if back.numel() == 1:  # one filter of one encounter: autograd has it the other way round
                    torch.mm(own.head_across, errors.T, out=back)
                else:
                    torch.mm(errors, own.head, out=back)
            room.back.div_(kept).mul_(room.hidden > 0)  # what dropout or ReLU lets through
            self.pooled.back(self.owns, room.back.flatten(1))
        if stage.proximal_mu:
            for own in self.owns:
                own.pull()
        self.optimiser.step()


class Room:
    """Room for what a step computes, for all models and for each.

    Parameters
    ----------
    shape : sequence of int
        M, B and F.
    outputs : int
        C.
    """

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        self.hidden, self.back = _aligned(shape), _aligned(shape)
        self.logits, self.errors = (_aligned((*shape[:2], outputs)) for _ in range(2))
        self.hiddens, self.backs = self.hidden.unbind(), self.back.unbind()
        self.logits_each, self.errors_each = self.logits.unbind(), self.errors.unbind()
        self.across = [errors.T for errors in self.errors_each]


def _gradient(parameter: Tensor) -> Tensor:
    """Give the array of a gradient, which `Learner` makes for every number that learns."""
    assert parameter.grad is not None
    return parameter.grad


def _aligned(shape: Sequence[int]) -> Tensor:
    """Make room for an array to each model, each at the boundary at which torch's own arrays begin."""
    models, *own = shape
    size = prod(own)
    return torch.empty(models, size + -size % _ALIGNED)[:, :size].view(models, *own)
