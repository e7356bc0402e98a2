"""What drove a score: the tokens that won the max-pool.

A filter's pooled value comes from one token, the one where it is greatest. The logit, the linear head's value for the
positive class less that for the negative one, is a sum over filters of pooled value times a weight, and a bias. So each
filter's term belongs to a token, and the terms of all tokens and the bias add up to the logit, exactly.

Letters: B encounters in a batch, L tokens, V rows of the table, F filters, K kernel width, T = L - K + 1 windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from common.model import NO_TOKEN, ConceptCNN


@dataclass(frozen=True)
class Explained:
    """Scores of encounters, and what they are made of.

    Attributes
    ----------
    probabilities : Tensor
        float64 (B,), of being positive.
    contributions : Tensor
        float64 (B, L), of each token to the logit.
    bias : float
        What the logit is without a token.
    """

    probabilities: Tensor
    contributions: Tensor
    bias: float


class Explainer:
    """Scores encounters with one model; the table is projected once.

    Parameters
    ----------
    model : ConceptCNN
    """

    def __init__(self, model: ConceptCNN) -> None:
        self.model = model
        head = model.linear
        self.weight = (head.weight[1].double() - head.weight[0].double()).detach()  # (F,)
        self.bias = float(head.bias[1].double() - head.bias[0].double())
        self.width = model.conv.kernel_size[0]
        self._projected = self._project() if self.width == 1 else None

    @torch.no_grad()
    def explain(self, tokens: Tensor) -> Explained:
        """Score tokens int64 (B, L), rows of the table, and share each score out among its tokens."""
        pooled, winners = self._windows(tokens).max(dim=1)  # (B, F) both
        probabilities = self.model.head(pooled).double().softmax(dim=1)[:, 1]
        terms = pooled.double() * self.weight  # (B, F)
        return Explained(probabilities, self._share(tokens, terms, winners), self.bias)

    def _project(self) -> Tensor:
        """Give relu(E W^T + b), (V, F), as `ConceptCNN.project_and_pool` has it; no token gives nothing."""
        conv = self.model.conv
        projected = torch.addmm(conv.bias, self.model.table, conv.weight[:, :, 0].T).relu()  # type: ignore[arg-type]
        projected[NO_TOKEN] = 0
        return projected.detach()

    def _windows(self, tokens: Tensor) -> Tensor:
        """Give the filters' values (B, T, F); a window without a token has zeros, and nothing is below zero."""
        if self._projected is not None:
            return self._projected[tokens]
        embedded = functional.embedding(tokens, self.model.table).transpose(1, 2)  # (B, D, L)
        filtered = self.model.conv(embedded).relu().transpose(1, 2)  # (B, T, F)
        present: Tensor = (tokens != NO_TOKEN).unfold(1, self.width, 1).any(dim=2)  # (B, T)
        windows: Tensor = filtered * present.unsqueeze(2)
        return windows

    def _share(self, tokens: Tensor, terms: Tensor, winners: Tensor) -> Tensor:
        """Give each filter's term to the tokens of the window that won, in equal parts."""
        there = (tokens != NO_TOKEN).double()
        counts = there.unfold(1, self.width, 1).sum(dim=2).clamp(min=1)  # (B, T)
        each = terms / counts.gather(1, winners)
        contributions = torch.zeros(tokens.shape, dtype=torch.float64)
        for offset in range(self.width):
            columns = winners + offset
            contributions.scatter_add_(1, columns, each * there.gather(1, columns))
        return contributions
