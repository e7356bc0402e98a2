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
from common.trained import TrainedModel

_AT_ONCE = 1024  # encounters: of 70 tokens and 100 filters, 29 MB


@dataclass(frozen=True)
class Scored:
    """Some encounters' scores.

    Attributes
    ----------
    place : slice
        Which encounters.
    probabilities : float64 array (B,)
        Mean over seeds.
    bias : float
    contributions : float64 array (B, L)
        Of tokens to the logit; mean over seeds. With `bias` they add up to the logit, or to the seeds' mean logit.
    rows : int64 array (B, L)
        Rows of `Opened.texts`; 0 is no token.
    """

    place: slice
    probabilities: NDArray[np.float64]
    bias: float
    contributions: NDArray[np.float64]
    rows: NDArray[np.int64]


def score(opened: Opened, encounters: NewEncounters) -> Iterator[Scored]:
    """Score encounters, some after the others.

    Raises
    ------
    ConfigError
        The model's kernel is wider than an encounter has tokens, or its probabilities are not finite.
    """
    torch.set_num_threads(1)  # two threads lose to one on small matrices
    check_kernel(opened, len(encounters.columns))
    explainers = [Explainer(model) for model in opened.models]
    for place, tokens in encounters.blocks(opened.place, _AT_ONCE):
        found = [explainer.explain(tokens) for explainer in explainers]
        probabilities = torch.stack([each.probabilities for each in found]).mean(dim=0).numpy()
        if not np.isfinite(probabilities).all():
            raise ConfigError("the model's probabilities are not finite; it was trained at too high a learning rate")
        contributions = torch.stack([each.contributions for each in found]).mean(dim=0).numpy()
        bias = sum(each.bias for each in found) / len(found)
        yield Scored(place, probabilities, bias, contributions, tokens.numpy())


def check_kernel(opened: Opened, length: int) -> None:
    """Make sure that a model's kernel fits into an encounter of `length` tokens."""
    width = opened.models[0].conv.kernel_size[0]
    if width > length:
        raise ConfigError(f"the model's kernel is {width}; an encounter here has {length} tokens")


def threshold(models: Sequence[TrainedModel]) -> float | None:
    """Give the models' threshold, over seeds their mean; None where one has none."""
    known = [model.threshold for model in models if model.threshold is not None]
    return sum(known) / len(known) if len(known) == len(models) else None
