"""The max-pool of training batches under a projected table that changes with every step, and its gradient.

Which row a maximum is of must be known for the gradient. A float32 written as a float64 leaves 29 bits of zeros; the
row's number is put there. So one vectorised maximum, which is faster by far than one that keeps indices beside the
values, brings the row along, and the bits that a float32 has decide first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from client.together.groups import Groups
from client.together.scoring import distinct
from common.model import NO_TOKEN

MOST = 1 << 28  # numbers of a projected table: the highest of the 29 bits would round a float32 up


def order_of(sets: Sequence[Tensor], rows: int) -> Tensor | None:
    """Give the table's rows, int64 (V,), in the order of the columns that hold them.

    Returns
    -------
    Tensor or None
        None where a row is in more than one column, so that which of two comes first depends on the encounter.
    """
    columns = sets[0].shape[1]
    holds = torch.zeros(columns, rows, dtype=torch.bool)
    for each in distinct(sets)[1]:
        for column, numbers in enumerate(each.T):
            holds[column] |= torch.bincount(numbers.int(), minlength=rows) > 0
    holds[:, NO_TOKEN] = False
    if (holds.sum(0) > 1).any():
        return None
    return holds.int().argmax(0).argsort(stable=True)


class Pooling:
    """Encounters of several models, one set to each, made ready to be pooled batch by batch.

    Parameters
    ----------
    sets : sequence of Tensor
        Whole numbers (N, L), rows of a table.
    order : Tensor
        int64 (V,), see `order_of`.

    Attributes
    ----------
    projected : Tensor
        float32 (V, F), room for the table that is pooled.
    """

    def __init__(self, sets: Sequence[Tensor], order: Tensor, filters: int, batch_size: int) -> None:
        rows = len(order)
        which, tokens = distinct(sets)
        self.groups = Groups.of(tokens, rows, batch_size)
        self.places = [self.groups.places[number] for number in which]
        # Of equal numbers the greater key wins, and in training alone the one that comes first in the encounter.
        self.cells = (order.flip(0)[:, None] * filters + torch.arange(filters)).flatten()  # of a key, (V F,)
        keys = torch.empty_like(self.cells).scatter_(0, self.cells, torch.arange(len(self.cells)))
        self.projected = torch.empty(rows, filters)
        self.keyed = torch.full((rows, filters), -torch.inf, dtype=torch.float64)
        self._keys = keys.view(rows, filters)[1:]
        self._from, self._into = self.projected[1:], self.keyed[1:]  # NO_TOKEN's stay as they are
        self._bits = self._into.view(torch.int64)
        self._gathered = torch.empty(0, dtype=torch.float64)

    def batches(self, k: int, chosen: Tensor) -> Tensor:
        """Give model k's steps (T, B) as combinations int32 (T, P B), all encounters' first ones first."""
        return self.places[k][chosen].transpose(1, 2).flatten(1)

    def maxima(self, batch: Tensor, out: Tensor) -> None:
        """Write the keyed maxima, float64 (B, F), of a batch (P B,) under `projected`."""
        self._into.copy_(self._from)
        self._bits.bitwise_or_(self._keys)
        maxima = self.groups.maxima(self.keyed)
        if len(self._gathered) != len(batch):
            self._gathered = torch.empty(len(batch), out.shape[1], dtype=torch.float64)
        torch.index_select(maxima, 0, batch, out=self._gathered)
        torch.amax(self._gathered.view(-1, *out.shape), 0, out=out)

    def winners(self, maxima: Tensor) -> Tensor:
        """Give the cells v F + f (M, B F) that keyed maxima (M, B, F) are of; the maxima are lost."""
        keys = maxima.view(torch.int64).bitwise_and_(MOST - 1)
        # What is not finite may hold any bits.
        return self.cells.index_select(0, keys.clamp_(max=len(self.cells) - 1).flatten()).view(len(maxima), -1)
