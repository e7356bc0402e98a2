"""The classifier that travels: a one-layer CNN over a frozen embedding table, and a linear head.

Gao et al., arXiv 2409.13893: Conv1d over the token axis -> ReLU -> global max-pool -> dropout -> Linear.

Letters: B encounters in a batch, L tokens in an encounter, V rows of the table, D embedding size, F filters,
K kernel width, C outputs.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from common.shape import ModelShape

_MAX = 2  # embedding_bag's number for the maximum
NO_TOKEN = 0  # the table's row of zeros: an encounter shorter than L, or a value that is masked


class ConceptCNN(nn.Module):
    """Scores encounters from the embeddings of their tokens.

    Parameters
    ----------
    table : Tensor
        float32 (V, D), row 0 zeros. Frozen, and absent from `state_dict()`: that is what may travel, and no more.
    shape : ModelShape
        Filters, kernel width, and what the outputs stand for.
    dropout : float
        Probability, [0, 1), that a filter is dropped while training.
    """

    table: Tensor

    def __init__(self, table: Tensor, shape: ModelShape, dropout: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)
        self.conv = nn.Conv1d(table.shape[1], shape.filters, shape.kernel)
        self.linear = nn.Linear(shape.filters, shape.outputs)
        self.shape = shape
        self.dropout = dropout

    def copy(self) -> ConceptCNN:
        """Give a model with the same weights and the same table, which is not copied."""
        return copy.deepcopy(self, {id(self.table): self.table})

    def forward(self, tokens: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Score a batch.

        Parameters
        ----------
        tokens : Tensor
            Of any type of whole numbers (B, L), rows of the table; 0 is no token.
        generator : torch.Generator, optional
            Draws the dropout mask; without one nothing is dropped.

        Returns
        -------
        Tensor
            float32 (B, C), logits.
        """
        return self.head(self.features(tokens), generator)

    def features(self, tokens: Tensor) -> Tensor:
        """Give the pooled filters (B, F) of tokens (B, L)."""
        tokens = tokens.int()  # many encounters are kept in one byte a token, which is no index to torch
        if self.conv.kernel_size == (1,):
            return self.project_and_pool(tokens)
        return self.convolve_and_pool(tokens)

    def head(self, pooled: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Give the logits (B, C) of pooled filters (B, F)."""
        if generator is not None and self.dropout > 0:
            keep = torch.rand(pooled.shape, generator=generator) >= self.dropout
            pooled = pooled * keep / (1 - self.dropout)
        logits: Tensor = self.linear(pooled)
        return logits

    def project_and_pool(self, tokens: Tensor) -> Tensor:
        """Kernel width 1: project the table once, then take the maximum over each encounter's rows.

        A kernel of width 1 is a linear map of each token by itself, so that (V, D) x (D, F) serves all B x L tokens.
        ReLU after the maximum equals ReLU before it, for ReLU never decreases.
        """
        projected = torch.addmm(self.conv.bias, self.table, self.conv.weight[:, :, 0].T)  # type: ignore[arg-type]  # (V, F)
        pooled: Tensor = _RowMax.apply(projected, tokens)  # type: ignore[no-untyped-call]  # (B, F)
        return functional.relu(pooled)

    def convolve_and_pool(self, tokens: Tensor) -> Tensor:
        """Any kernel width, in the usual form; at width 1 the oracle of `project_and_pool`."""
        embedded = functional.embedding(tokens, self.table).transpose(1, 2)  # (B, D, L)
        filtered = functional.relu(self.conv(embedded))  # (B, F, L-K+1)
        present = functional.max_pool1d((tokens != NO_TOKEN).float(), self.conv.kernel_size[0], stride=1)  # (B, L-K+1)
        # ReLU leaves nothing below zero, so a window without any token, set to zero, never wins over one with tokens.
        return (filtered * present.unsqueeze(1)).amax(dim=2)


class _RowMax(torch.autograd.Function):
    """The maximum of each encounter's rows, (V, F) and (B, L) to (B, F); row 0 never counts.

    `embedding_bag` finds the maximum and the winning rows; its own backward walks the filters one by one, where one
    scatter of the gradient to the winners does.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, projected: Tensor, tokens: Tensor) -> Tensor:
        pooled, winners = row_max(projected, tokens)
        ctx.save_for_backward(winners)
        ctx.rows = projected.shape[0]  # type: ignore[attr-defined]
        return pooled

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (winners,) = ctx.saved_tensors  # type: ignore[attr-defined]  # (B, F)
        zeros = gradient.new_zeros(ctx.rows, gradient.shape[1])  # type: ignore[attr-defined]
        return zeros.scatter_add_(0, winners.long(), gradient), None


def row_max(projected: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Give the maximum of each encounter's rows, (V, F) and (B, L) to (B, F), and the rows they are of, int (B, F)."""
    starts = torch.arange(0, tokens.numel(), tokens.shape[1], dtype=tokens.dtype)
    pooled, _, _, winners = torch.embedding_bag(
        projected, tokens.flatten(), starts, False, _MAX, False, None, False, NO_TOKEN
    )
    return pooled, winners


def initial_weights(dimension: int, shape: ModelShape, seed: int) -> dict[str, Tensor]:
    """Draw the weights that a run starts from, as torch initialises these layers.

    Parameters
    ----------
    dimension : int
        D, the embedding size.
    shape : ModelShape
        Filters, kernel width and outputs.
    seed : int
        Of this draw alone; torch's own random state is left as it was.

    Returns
    -------
    dict of str to Tensor
        conv.weight (F, D, K), conv.bias (F,), linear.weight (C, F), linear.bias (C,), all float32.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConceptCNN(torch.zeros(1, dimension), shape)
    return {name: value.clone() for name, value in model.state_dict().items()}
