"""What drove a score: the tokens that won the max-pool.

A filter's pooled value comes from one token, the one where it is greatest. The logit of a probability p, that is
log(p / (1 - p)), is a sum over filters of pooled value times a weight, and a rest without tokens. So each filter's term
belongs to a token, and the terms of all tokens and the rest add up to the logit, exactly.

Letters: B encounters in a batch, L tokens, V rows of the table, F filters, C outputs, K kernel width, T = L - K + 1
windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from common.model import NO_TOKEN, ConceptCNN


@dataclass(frozen=True)
class Seen:
    """Encounters as one model sees them.

    Attributes
    ----------
    tokens : Tensor
        int64 (B, L), rows of the table.
    pooled : Tensor
        float32 (B, F), the filters' greatest values.
    winners : Tensor
        int64 (B, F), the windows that they come from.
    logits : Tensor
        float32 (B, C).
    """

    tokens: Tensor
    pooled: Tensor
    winners: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Explained:
    """What encounters' logits are made of.

    Attributes
    ----------
    contributions : Tensor
        float64 (B, L), of each token.
    bias : Tensor
        float64 (B,), what is of no token.
    """

    contributions: Tensor
    bias: Tensor


class Explainer:
    """Scores encounters with one model, and shares scores out; the table is projected once.

    Parameters
    ----------
    model : ConceptCNN
    """

    def __init__(self, model: ConceptCNN) -> None:
        self.model = model
        self.weight = model.linear.weight.detach().double()  # (C, F)
        self.bias = model.linear.bias.detach().double()  # (C,)
        self.width = model.conv.kernel_size[0]
        self._projected = self._project() if self.width == 1 else None

    @torch.no_grad()
    def see(self, tokens: Tensor) -> Seen:
        """Score tokens int64 (B, L), rows of the table."""
        pooled, winners = self._windows(tokens).max(dim=1)  # (B, F) both
        return Seen(tokens, pooled, winners, self.model.head(pooled))

    @torch.no_grad()
    def explain(self, seen: Seen, asked: Tensor) -> Explained:
        """Share each score out among its tokens.

        Parameters
        ----------
        seen : Seen
        asked : Tensor
            int64 (B,), the class or label whose score it is; 0 where there are two classes.
        """
        weights, bias = self._weights(seen.logits.double(), asked)
        return Explained(self._share(seen, seen.pooled.double() * weights), bias)

    def _weights(self, logits: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Give the weights (B, F) by which pooled values add to log(p / (1 - p)), and what is beside them (B,).

        Of two classes, the positive one's less the negative one's; of a label, its own. Of a class c among several,
        with w the other classes' shares of 1 - p and H their entropy, log(p / (1 - p)) is
        ``z_c - logsumexp_j(z_j) = z_c - sum_j(w_j z_j) - H(w)``: its own weights less the mean of the others', each as
        likely as the model holds it to be. What tells c from a class that is out of the question does not count.
        """
        if self.model.shape.binary:
            weights, bias = self.weight[1] - self.weight[0], self.bias[1] - self.bias[0]
            return weights.expand(len(asked), -1), bias.expand(len(asked))
        weights, bias = self.weight[asked], self.bias[asked]
        if self.model.shape.labels is not None:
            return weights, bias
        own = functional.one_hot(asked, len(self.bias)).bool()
        others = logits.masked_fill(own, -torch.inf).softmax(dim=1)  # (B, C)
        entropy = torch.special.entr(others).sum(dim=1)
        return weights - others @ self.weight, bias - others @ self.bias - entropy

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

    def _share(self, seen: Seen, terms: Tensor) -> Tensor:
        """Give each filter's term to the tokens of the window that won, in equal parts."""
        there = (seen.tokens != NO_TOKEN).double()
        counts = there.unfold(1, self.width, 1).sum(dim=2).clamp(min=1)  # (B, T)
        each = terms / counts.gather(1, seen.winners)
        contributions = torch.zeros(seen.tokens.shape, dtype=torch.float64)
        for offset in range(self.width):
            columns = seen.winners + offset
            contributions.scatter_add_(1, columns, each * there.gather(1, columns))
        return contributions
