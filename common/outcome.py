"""What a model's outputs mean: the loss they learn by, the probabilities they give, the questions they answer.

A *question* is a yes or no that every encounter has an answer to: positive or not, of this class or of another, with
this label or without. Two classes are one question, several classes or labels one each.

Letters: B encounters in a batch, N encounters, C outputs, Q questions (1 for two classes, else C).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from common.errors import ConfigError
from common.metrics import Floats, Integers
from common.shape import ModelShape


def loss(shape: ModelShape, logits: Tensor, labels: Tensor) -> Tensor:
    """Give the negative log-likelihood, mean over encounters.

    Parameters
    ----------
    logits : Tensor
        float32 (B, C).
    labels : Tensor
        int64 (B,), the class of each encounter; for labels (B, C), 1 where it has one.

    Notes
    -----
    Labels are independent given the pooled filters, so that theirs is the sum of each label's: how much one learns
    does not depend on how many others are asked for.
    """
    if shape.labels is None:
        return functional.cross_entropy(logits, labels)
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum") / len(labels)


def chances(shape: ModelShape, logits: Tensor) -> Floats:
    """Give the probability of a yes to each question, float64 (N, Q), from logits (N, C)."""
    wide = logits.double()
    if shape.labels is not None:
        return np.asarray(wide.sigmoid().numpy())
    classes = wide.softmax(dim=1)
    return np.asarray((classes[:, 1:] if shape.binary else classes).numpy())


def answers(shape: ModelShape, labels: Integers) -> Integers:
    """Give the answer to each question, 0 or 1, int64 (N, Q), from labels as `loss` takes them.

    Raises
    ------
    ConfigError
        The encounters have other labels than the model predicts.
    """
    columns = len(shape.labels) if shape.labels else 0
    if labels.shape[1:] != ((columns,) if columns else ()) or (labels >= (2 if columns else shape.outputs)).any():
        raise ConfigError(f"the model predicts {shape.predicts}; the encounters' labels are others")
    if shape.labels is not None:
        return labels
    places = np.arange(1 if shape.binary else 0, shape.outputs)
    return np.asarray(labels[:, None] == places, dtype=np.int64)


def told(yes: Integers, min_cell: int) -> list[int]:
    """Give the questions with at least `min_cell` encounters of either answer, from answers (N, Q)."""
    positive = yes.sum(axis=0)
    return [int(q) for q in np.flatnonzero(np.minimum(positive, len(yes) - positive) >= min_cell)]


def few(yes: Integers, min_cell: int) -> list[int]:
    """Give the questions to which some encounters answer alike, but fewer than `min_cell`, from answers (N, Q)."""
    positive = yes.sum(axis=0)
    smaller = np.minimum(positive, len(yes) - positive)
    return [int(q) for q in np.flatnonzero((smaller > 0) & (smaller < min_cell))]
