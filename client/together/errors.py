"""The gradient of each model's loss with respect to its logits, by what its outputs mean (`common.outcome.loss`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def of_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the gradient (M, B, C) of each model's mean cross-entropy, as autograd does.

    Parameters
    ----------
    logits : Tensor
        float32 (M, B, C).
    labels : Tensor
        int64 (M, B), the class of each encounter.
    """
    scores = logits.log_softmax(2)
    of_scores = torch.zeros_like(scores).scatter_(2, labels[:, :, None], -1 / labels.shape[1])
    gradient: Tensor = torch.ops.aten._log_softmax_backward_data(of_scores, scores, 2, torch.float32)
    return gradient


def of_labels(logits: Sequence[Tensor], labels: Tensor, out: Sequence[Tensor]) -> None:
    """Write the gradient (B, C) of each model's sum of binary cross-entropies, mean over encounters, as autograd does.

    Model by model: where a sigmoid is of a number's last few, torch computes it by another function than the others.

    Parameters
    ----------
    logits, out : sequence of Tensor
        float32 (B, C), of each model.
    labels : Tensor
        int64 (M, B, C), 1 where an encounter has the label.
    """
    for own, true, errors in zip(logits, labels.to(torch.float32), out, strict=True):
        torch.sigmoid(own, out=errors)
        errors.sub_(true).mul_(1 / len(true))
