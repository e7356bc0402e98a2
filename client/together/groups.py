"""Tokens in groups of neighbouring columns: what many encounters have in common is looked at once.

The maximum over an encounter's rows is the maximum over groups of them. Where columns are concepts with few values,
neighbours have few combinations over all encounters; their maxima are taken once, and an encounter has fewer rows left.
A maximum is exact, in whatever order it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_SIZES = (2, 3, 4)


@dataclass(frozen=True)
class Groups:
    """Combinations of tokens, and which of them encounters have.

    Attributes
    ----------
    members : Tensor
        int64 (K, J), the K tokens of each of J combinations; where K is 1, the rows of the table themselves.
    places : list of Tensor
        For each set of encounters int32 (N, ceil(L / K)), combinations.
    """

    members: Tensor
    places: list[Tensor]

    @classmethod
    def of(cls, sets: Sequence[Tensor], rows: int, at_once: int) -> Groups:
        """Choose the size of groups with which so many encounters, looked at together, cost least.

        Parameters
        ----------
        sets : sequence of Tensor
            Whole numbers (N, L), rows of a table.
        rows : int
            V, of the table.
        at_once : int
            Encounters for which the combinations' maxima are taken once.
        """
        best = sets[0].shape[1] * at_once
        chosen = cls(torch.arange(rows)[None], [each.int() for each in sets])
        tokens = torch.cat([each.long() for each in sets])
        for size in _SIZES:
            known, which = torch.unique(_codes(tokens, rows, size), return_inverse=True)
            if (cost := len(known) * size + at_once * which.shape[1]) < best:
                members = torch.stack([known // rows**k % rows for k in range(size)])
                best, chosen = cost, cls(members, list(which.int().split([len(each) for each in sets])))
        return chosen

    def maxima(self, table: Tensor) -> Tensor:
        """Give the maxima (J, F) of each combination's rows of a table (V, F)."""
        size, count = self.members.shape
        if size == 1:
            return table
        return table.index_select(0, self.members.flatten()).view(size, count, -1).amax(0)


def _codes(tokens: Tensor, rows: int, size: int) -> Tensor:
    """Give each group of `size` neighbours a number; the last is filled with no token."""
    padded = functional.pad(tokens, (0, -tokens.shape[1] % size))
    codes = torch.zeros_like(padded[:, ::size])
    for k in range(size):
        codes += padded[:, k::size] * rows**k
    return codes
