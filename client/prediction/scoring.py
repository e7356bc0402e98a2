"""Scores new encounters with a run's model, or with its models of all seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client.prediction.encounters import NewEncounters
from client.prediction.explain import Explainer
from client.prediction.space import Opened
from common.errors import ConfigError
from common.outcome import chances
from common.shape import ModelShape
from common.trained import TrainedModel

_AT_ONCE = 1024  # encounters: of 70 tokens and 100 filters, 29 MB


@dataclass(frozen=True)
class Scored:
    """Some encounters' scores.

    Attributes
    ----------
    place : slice
        Which encounters.
    probabilities : float64 array (B, Q)
        Of being positive, or of each class or label; mean over seeds.
    explained : int64 array (B,)
        The class or label, by its place, whose score is shared out; 0 where there are two classes.
    bias : float64 array (B,)
        What of its logit is of no token; mean over seeds.
    contributions : float64 array (B, L)
        Of tokens to its logit; mean over seeds. With `bias` they add up to the logit, or to the seeds' mean logit.
    rows : int64 array (B, L)
        Rows of `Opened.texts`; 0 is no token.
    """

    place: slice
    probabilities: NDArray[np.float64]
    explained: NDArray[np.int64]
    bias: NDArray[np.float64]
    contributions: NDArray[np.float64]
    rows: NDArray[np.int64]


def score(opened: Opened, encounters: NewEncounters, asked: int | None = None) -> Iterator[Scored]:
    """Score encounters, some after the others.

    Parameters
    ----------
    asked : int, optional
        The class or label whose scores are shared out; otherwise it is each encounter's most probable one.

    Raises
    ------
    ConfigError
        The model's kernel is wider than an encounter has tokens, or its probabilities are not finite.
    """
    torch.set_num_threads(1)  # two threads lose to one on small matrices
    check_kernel(opened, len(encounters.columns))
    explainers, shape = [Explainer(model) for model in opened.models], opened.models[0].shape
    for place, tokens in encounters.blocks(opened.place, _AT_ONCE):
        seen = [explainer.see(tokens) for explainer in explainers]
        probabilities = np.mean([chances(shape, each.logits) for each in seen], axis=0)
        if not np.isfinite(probabilities).all():
            raise ConfigError("the model's probabilities are not finite; it was trained at too high a learning rate")
        explained = probabilities.argmax(axis=1) if asked is None else np.full(len(tokens), asked)
        wanted = torch.from_numpy(explained)
        found = [explainer.explain(each, wanted) for explainer, each in zip(explainers, seen, strict=True)]
        contributions = torch.stack([each.contributions for each in found]).mean(dim=0).numpy()
        bias = torch.stack([each.bias for each in found]).mean(dim=0).numpy()
        yield Scored(place, probabilities, explained, bias, contributions, tokens.numpy())


def asked_of(shape: ModelShape, name: str) -> int | None:
    """Give the place of the class or label whose scores are to be explained; None where nobody named one.

    Raises
    ------
    ConfigError
        The model knows no such class or label.
    """
    if not name:
        return None
    if shape.binary:
        raise ConfigError("--explain: the model predicts two classes, and explains the positive one; leave it out")
    if name not in shape.names:
        raise ConfigError(f"--explain {name}: the model predicts {shape.predicts}; name one of them")
    return shape.names.index(name)


def check_kernel(opened: Opened, length: int) -> None:
    """Make sure that a model's kernel fits into an encounter of `length` tokens."""
    width = opened.models[0].conv.kernel_size[0]
    if width > length:
        raise ConfigError(f"the model's kernel is {width}; an encounter here has {length} tokens")


def threshold(models: Sequence[TrainedModel]) -> float | None:
    """Give the models' threshold, over seeds their mean; None where one has none."""
    known = [model.threshold for model in models if model.threshold is not None]
    return sum(known) / len(known) if len(known) == len(models) else None
