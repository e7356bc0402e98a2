"""The sum over patients of clipped gradients, without any patient's gradient ever being laid out.

Of a filter, an encounter's gradient is a number times the row of the table that won. So its squared norm is a sum over
filters of that number's square times the row's, and a patient's of several encounters takes products of rows beside it:
B x F numbers where B x F x D would be written otherwise.

Letters: B encounters in a batch, L tokens, V rows of the table, D its columns, F filters, C outputs, P patients,
N pairs of encounters of one patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from common.model import ConceptCNN, row_max
from common.shape import ModelShape
from common.strategies import CNN, LINEAR

_PAIRS = 1 << 15  # looked at together


@dataclass(frozen=True)
class Drawn:
    """The encounters of the patients that were drawn for a step.

    Attributes
    ----------
    chosen : Tensor
        int64 (B,), which encounters; a patient's lie together.
    patients : Tensor
        int64 (B,), from 0 to P - 1, rising.
    counts : Tensor
        int64 (P,), encounters of each patient.
    """

    chosen: Tensor
    patients: Tensor
    counts: Tensor

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the pairs of different encounters of one patient, two int64 (N,), places in `chosen`; some at a time."""
        if len(self.chosen) == len(self.counts):
            return
        starts = self.counts.cumsum(0) - self.counts
        before = torch.arange(len(self.chosen)) - starts[self.patients]  # encounters of the same patient, earlier here
        first = torch.repeat_interleave(before)
        second = torch.arange(len(first)) - (before.cumsum(0) - before)[first] + starts[self.patients[first]]
        yield from zip(torch.split(first, _PAIRS), torch.split(second, _PAIRS), strict=True)


@dataclass(frozen=True)
class Rows:
    """The table as gradients see it.

    Attributes
    ----------
    vectors : Tensor
        float32 (V, D).
    lengths : Tensor
        float64 (V,), squared, and 1 for the bias, which is a column of ones.
    """

    vectors: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, table: Tensor) -> Rows:
        """Measure the rows of a table."""
        return cls(table, table.double().square().sum(1) + 1)


@dataclass
class Parts:
    """What the gradients of a batch's encounters are made of.

    Attributes
    ----------
    hidden : Tensor
        float32 (B, F), what the head sees.
    errors : Tensor
        float32 (B, C), the gradient with respect to the logits.
    back : Tensor or None
        float32 (B, F), the gradient with respect to the maxima; None where the CNN does not learn.
    winners : Tensor or None
        int64 (B, F), the rows that the maxima are of.
    """

    hidden: Tensor
    errors: Tensor
    back: Tensor | None = None
    winners: Tensor | None = None

    def scale(self, by: Tensor) -> None:
        """Multiply each encounter's gradient by a number, (B,); where that is not above 0, it becomes 0 in any case."""
        self.errors = _scaled(self.errors, by)
        self.hidden = torch.where(by[:, None] > 0, self.hidden, 0.0)
        if self.back is not None:
            self.back = _scaled(self.back, by)


@torch.no_grad()
def parts_of(
    model: ConceptCNN, tokens: Tensor, labels: Tensor, keep: Tensor, tuned: tuple[str, ...], pooled: Tensor | None
) -> Parts:
    """Go forward and back as far as the table.

    Parameters
    ----------
    model : ConceptCNN
        With a kernel of width 1.
    tokens, labels
        Of the batch, as `client.training.Encounters` has them.
    keep : Tensor
        float32 (B, F), what dropout leaves of each filter, 0 or 1 / (1 - dropout).
    pooled : Tensor or None
        float32 (B, F), pooled filters that are known, where the CNN does not learn.
    """
    winners = None
    if pooled is None:
        projected = torch.addmm(model.conv.bias, model.table, model.conv.weight[:, :, 0].T)  # type: ignore[arg-type]
        maxima, winners = row_max(projected, tokens.int())
        pooled, winners = functional.relu(maxima), winners.long()
    hidden = pooled * keep
    errors = errors_of(model.shape, model.linear(hidden), labels)
    if CNN not in tuned:
        return Parts(hidden, errors)
    return Parts(hidden, errors, (errors @ model.linear.weight) * keep * (pooled > 0), winners)


def errors_of(shape: ModelShape, logits: Tensor, labels: Tensor) -> Tensor:
    """Give the gradient of each encounter's own loss (`common.outcome.loss`) with respect to its logits, (B, C)."""
    if shape.labels is not None:
        return logits.sigmoid() - labels
    return logits.softmax(1) - functional.one_hot(labels, logits.shape[1])


@torch.no_grad()
def squared_norms(parts: Parts, drawn: Drawn, rows: Rows, tuned: tuple[str, ...]) -> Tensor:
    """Give the squared L2 norm of each patient's gradient over all that learns, float64 (P,)."""
    own = torch.zeros(len(drawn.chosen), dtype=torch.float64)
    if LINEAR in tuned:
        own += _dot(parts.errors, parts.errors) * (_dot(parts.hidden, parts.hidden) + 1)
    if parts.back is not None and parts.winners is not None:
        own += (parts.back.double().square() * rows.lengths[parts.winners]).sum(1)
    norms = torch.zeros(len(drawn.counts), dtype=torch.float64).index_add_(0, drawn.patients, own)
    for first, second in drawn.pairs():
        norms.index_add_(0, drawn.patients[first], 2 * _between(parts, first, second, rows, tuned))
    return norms.clamp_(min=0)


def _between(parts: Parts, first: Tensor, second: Tensor, rows: Rows, tuned: tuple[str, ...]) -> Tensor:
    """Give the products of the gradients of pairs of encounters, float64 (N,)."""
    products = torch.zeros(len(first), dtype=torch.float64)
    if LINEAR in tuned:
        errors = _dot(parts.errors[first], parts.errors[second])
        products += errors * (_dot(parts.hidden[first], parts.hidden[second]) + 1)
    if parts.back is not None and parts.winners is not None:
        winners = torch.stack([parts.winners[first], parts.winners[second]])
        won, place = torch.unique(winners, return_inverse=True)
        vectors = rows.vectors[won].double()
        between = (vectors @ vectors.T + 1)[place[0], place[1]]
        products += (parts.back[first].double() * parts.back[second].double() * between).sum(1)
    return products


@torch.no_grad()
def summed(parts: Parts, rows: Rows, tuned: tuple[str, ...]) -> dict[str, Tensor]:
    """Add up the encounters' gradients, by the names of the model's parameters."""
    sums: dict[str, Tensor] = {}
    if LINEAR in tuned:
        sums |= {"linear.weight": parts.errors.T @ parts.hidden, "linear.bias": parts.errors.sum(0)}
    if parts.back is not None and parts.winners is not None:
        of_rows = parts.back.new_zeros(len(rows.vectors), parts.back.shape[1]).scatter_add_(
            0, parts.winners, parts.back
        )
        sums |= {"conv.weight": (of_rows.T @ rows.vectors)[:, :, None], "conv.bias": parts.back.sum(0)}
    return sums


def clipped_sum(parts: Parts, drawn: Drawn, rows: Rows, tuned: tuple[str, ...], clip: float) -> dict[str, Tensor]:
    """Add up what each patient adds: the mean gradient of the patient's encounters, cut to an L2 norm of `clip`.

    A patient whose gradient is not finite adds nothing; otherwise one would show by spoiling all numbers.
    """
    shares = drawn.counts.double().reciprocal()
    norms = squared_norms(parts, drawn, rows, tuned).sqrt() * shares
    factors = shares * (clip / norms).clamp(max=1)  # 0 where a norm is infinite, not a number where it is none
    parts.scale(factors[drawn.patients].float())
    return summed(parts, rows, tuned)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one.double() * other.double()).sum(1)


def _scaled(values: Tensor, by: Tensor) -> Tensor:
    return torch.where(by[:, None] > 0, values * by[:, None], 0.0)
