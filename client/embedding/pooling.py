"""Takes one vector from a model's last layer. Letters: B texts, L word pieces (padding included), D numbers a piece.

Texts are padded on the right, so a text's first piece is at 0 and its last one at the number of its pieces less one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Pool = Callable[[Tensor, Tensor], Tensor]  # hidden float32 (B, L, D), mask int64 (B, L) -> float32 (B, D)


def first_piece(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the first piece, ``[CLS]`` where the tokeniser puts one."""
    return hidden[:, 0]


def last_piece(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the last piece that is not padding: the only one of a decoder that has seen the whole text."""
    return hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the mean over the pieces, padding left out."""
    pieces = mask.unsqueeze(-1)  # (B, L, 1)
    return (hidden * pieces).sum(dim=1) / pieces.sum(dim=1)


def largest(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take each column's largest number, padding left out."""
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def mean_by_root(hidden: Tensor, mask: Tensor) -> Tensor:
    """Divide the sum over the pieces by the square root of their number."""
    pieces = mask.unsqueeze(-1)  # (B, L, 1)
    return (hidden * pieces).sum(dim=1) / pieces.sum(dim=1).sqrt()


def weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the mean with weights 1, 2, 3, ... by position, as SGPT does (Muennighoff 2022, section 3.1)."""
    weights = (torch.arange(1, hidden.shape[1] + 1) * mask).unsqueeze(-1)  # (B, L, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


POOLINGS: dict[str, Pool] = {"mean": mean, "cls": first_piece, "last": last_piece}
