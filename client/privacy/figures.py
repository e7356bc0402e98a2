"""Scores from counts with noise: one release of all counts of a task, and whatever follows from them.

Encounters are counted by label and by fixed ranges of the logit. Of a patient with several encounters each counts as a
part of one, so that one patient changes the counts, as a vector, by at most 1. All figures are computed from the counts
as if each were so many encounters in the middle of its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from client.privacy.randomness import Randomness
from client.scored import GRID, Scored, curve_figures
from client.training import Encounters, Model, probabilities
from common.figures import CURVE, HITS, METRICS
from common.metrics import Floats, Integers, score, youden_threshold
from common.tasks import Work

# Logits; fixed, so that they tell of nobody, and closer where most models' are.
_EDGES = np.concatenate([np.arange(-4, -2, 0.5), np.arange(-2, 2, 0.25), np.arange(2, 4.5, 0.5)])
_MIDDLES = 1 / (1 + np.exp(-np.concatenate([[-4.25], (_EDGES[1:] + _EDGES[:-1]) / 2, [4.25]])))
BINS = len(_MIDDLES)

Counted = tuple[Integers, Floats]  # labels (N,) and probabilities (N,)


def score_noised(
    model: Model,
    task: Work,
    splits: Mapping[str, Encounters],
    min_cell: int,
    noise: float,
    randomness: Randomness,
) -> Scored:
    """Score a model of two classes on the splits that a task names, and choose a threshold where it asks for one.

    There are no intervals: they would leave out the noise.
    """
    names = splits_of(task)
    counted = dict(zip(names, counts(model, [splits[name] for name in names], noise, randomness), strict=True))
    scored, threshold = Scored(), task.threshold
    if task.choose_threshold and _enough(counted["validation"], min_cell):
        threshold = youden_threshold(*counted["validation"], GRID)
        scored.figures["threshold"] = threshold
    asked = set(METRICS) if threshold is not None else set(METRICS).difference(HITS)
    for split in task.score:
        if not _enough(counted[split], min_cell):
            scored.suppressed |= asked | ({CURVE} if split == "test" else set())
            continue
        labels, chances = counted[split]
        figures = {"n": float(len(labels)), "positive": float(labels.sum())}
        figures |= {name: each.value for name, each in score(labels, chances, threshold).items()}
        scored.figures |= {f"{split}.{name}": value for name, value in figures.items() if math.isfinite(value)}
        if split == "test":
            scored.figures |= curve_figures(split, labels, chances, min_cell)
    return scored


def splits_of(task: Work) -> tuple[str, ...]:
    """Give the splits of whose patients a task's scores tell."""
    return tuple(dict.fromkeys([*task.score, *(["validation"] if task.choose_threshold else [])]))


def counts(model: Model, splits: Sequence[Encounters], noise: float, randomness: Randomness) -> list[Counted]:
    """Count each split by label and range, with noise, as labels and probabilities of so many encounters.

    Parameters
    ----------
    splits : sequence of Encounters
        Released together: a patient who is in several is one patient.
    noise : float
        Standard deviation of each count's, in patients.
    """
    whole = []
    for encounters, weights in zip(splits, _weights(splits), strict=True):
        chances = probabilities(model, encounters)
        with np.errstate(divide="ignore"):
            place = np.digitize(np.log(chances) - np.log1p(-chances), _EDGES)
        cells = place + BINS * encounters.labels.numpy()
        true = np.bincount(cells, weights, minlength=2 * BINS)
        noisy = true + noise * randomness.normal(2 * BINS).numpy()
        told = np.concatenate([_possible(own) for own in np.split(noisy, 2)])
        whole.append((np.repeat([0, 1], BINS).repeat(told), np.tile(_MIDDLES, 2).repeat(told)))
    return whole


def _possible(noisy: Floats) -> Integers:
    """Give whole counts, none below 0, nearest to noisy ones (K,) among those with the same sum.

    Cutting at 0 alone would make somebody of every empty range. Duchi et al. 2008, ICML, figure 1.
    """
    total = max(float(noisy.sum()), 0.0)
    falling = np.sort(noisy)[::-1]
    over = (np.cumsum(falling) - total) / np.arange(1, len(noisy) + 1)
    taken = over[np.flatnonzero(falling > over)[-1]] if total else math.inf
    return np.rint(np.maximum(noisy - taken, 0)).astype(np.int64)


def _weights(splits: Sequence[Encounters]) -> list[Floats]:
    """Give each encounter its part of its patient."""
    patients = [encounters.patients for encounters in splits]
    known = [whose for whose in patients if whose is not None]
    if len(known) < len(patients):
        return [np.ones(len(encounters)) for encounters in splits]
    _, number, times = torch.unique(torch.cat(known), return_inverse=True, return_counts=True)
    shares: Floats = (1 / times.double())[number].numpy()
    return np.split(shares, np.cumsum([len(encounters) for encounters in splits])[:-1])


def _enough(counted: Counted, min_cell: int) -> bool:
    positive = int(counted[0].sum())
    return min(positive, len(counted[0]) - positive) >= min_cell
