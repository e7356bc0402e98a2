"""Recalibration as a transfer strategy: what is fitted at a target, travels as a few numbers, and makes a head.

Two classes have an intercept and a slope. Several classes have an intercept each and one slope; several labels an
intercept and a slope each.

Letters: N encounters, F filters, C outputs, Q questions (`common.outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logit
from torch import Tensor

from common.metrics import Floats, Integers
from common.outcome import answers
from common.shape import ModelShape
from common.statistics.calibration import Recalibration, recalibrate

_OF = "recalibration"  # what the names of the figures that travel begin with
INTERCEPT, SLOPE = f"{_OF}.intercept", f"{_OF}.slope"  # of two classes; the slope also of several
_CLIP = 1e-12  # a probability of 0 has no logarithm


def figures_of(shape: ModelShape, labels: Integers, chances: Floats, numbers: int) -> dict[str, float]:
    """Fit by maximum likelihood; give the figures that travel.

    Parameters
    ----------
    labels : ndarray
        As `common.outcome.answers` takes them.
    chances : ndarray
        float64 (N, Q), the probability of a yes to each question.
    numbers : int
        1 fits intercepts, 2 slopes as well.

    Notes
    -----
    Of several classes with a slope, this is bias-corrected temperature scaling (Alexandari et al. 2020,
    arXiv 1901.06852). A class or label that all encounters have, or none, keeps an intercept of 0.
    """
    if shape.binary:
        by = fit(labels, chances[:, 0], numbers)
        return dict(zip((INTERCEPT, SLOPE)[:numbers], (by.intercept, by.slope), strict=False))
    yes = answers(shape, labels)
    known = [q for q in range(yes.shape[1]) if 0 < yes[:, q].sum() < len(yes)]
    if shape.labels is None:
        shifts, slope = _fit_classes(yes[:, known], chances[:, known], numbers)
        figures = {f"{_OF}.{shape.names[q]}.intercept": shift for q, shift in zip(known, shifts, strict=True)}
        return figures | ({SLOPE: slope} if numbers > 1 else {})
    figures = {}
    for q in known:
        by = fit(yes[:, q], chances[:, q], numbers)
        pair = ((f"{_OF}.{shape.names[q]}.intercept", by.intercept), (f"{_OF}.{shape.names[q]}.slope", by.slope))
        figures |= dict(pair[:numbers])
    return figures


def prior_figures(shape: ModelShape, labels: Integers, prevalence: Sequence[float]) -> dict[str, float]:
    """Correct for another prevalence: shift each logit by the log of what the prevalence has changed by.

    Parameters
    ----------
    labels : ndarray
        Of the target's training encounters.
    prevalence : sequence of float
        (Q,), where the model was learnt: of the positive class, or of each class or label.

    Notes
    -----
    Saerens, Latinne and Decaestecker 2002, Neural Computation 14:21, eq. 4: P(class | x) is multiplied by the ratio of
    the class's prevalences. It is exact where encounters of one class look alike at both ends.
    """
    yes = answers(shape, labels)
    here = yes.mean(axis=0)
    names = (INTERCEPT,) if shape.binary else tuple(f"{_OF}.{name}.intercept" for name in shape.names)
    change = np.log if not shape.binary and shape.labels is None else logit  # of a softmax's logit, or of a sigmoid's
    known = [q for q in range(yes.shape[1]) if 0 < here[q] < 1]
    return {names[q]: float(change(here[q]) - change(prevalence[q])) for q in known}


def fit(labels: Integers, probabilities: Floats, numbers: int) -> Recalibration:
    """Fit one question by maximum likelihood, see `common.statistics.calibration`.

    Parameters
    ----------
    labels : ndarray
        int (N,), 1 for positive; both classes.
    probabilities : ndarray
        float64 (N,), of being positive.
    numbers : int
        1 fits the intercept, 2 the slope as well. A slope that does not exist (separable data) or is not above zero,
        which would turn the ranking round, is left at 1.
    """
    both = recalibrate(labels, probabilities, slope=True) if numbers > 1 else None
    if both is not None and both.slope > 0:
        return both
    return recalibrate(labels, probabilities) or Recalibration(0.0)


def _fit_classes(yes: Integers, chances: Floats, numbers: int) -> tuple[list[float], float]:
    """Fit an intercept for each of some classes, of mean 0, and one slope; as in `fit`, one that is none is left at 1.

    Parameters
    ----------
    yes : ndarray
        int (N, C), one 1 in a row, or none: an encounter of another class.
    chances : ndarray
        float64 (N, C).
    """
    rows = yes.sum(axis=1) == 1
    y, scores = yes[rows].astype(np.float64), np.log(np.clip(chances[rows], _CLIP, 1.0))
    if numbers > 1:
        shifts, slope = _most_likely(y, scores, None)
        separable = (np.argmax(slope * scores + shifts, axis=1) == np.argmax(y, axis=1)).all()
        if slope > 0 and not separable:
            return shifts.tolist(), slope
    return _most_likely(y, scores, 1.0)[0].tolist(), 1.0


def _most_likely(y: Floats, scores: Floats, slope: float | None) -> tuple[Floats, float]:
    """Maximise the likelihood, which has no other maximum, over intercepts and, where it is None, the slope."""
    free = slope is None

    def cost(parameters: Floats) -> tuple[float, Floats]:
        factor = float(parameters[-1]) if free else 1.0
        fitted = log_softmax(factor * scores + parameters[: y.shape[1]], axis=1)
        error = np.exp(fitted) - y
        slopes = [float((error * scores).sum())] if free else []
        return -float((y * fitted).sum()) / len(y), np.concatenate([error.sum(axis=0), slopes]) / len(y)

    start = np.concatenate([np.zeros(y.shape[1]), [1.0] if free else []])
    found = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    shifts = found[: y.shape[1]]
    return shifts - shifts.mean(), float(found[-1]) if free else 1.0


def recalibrated(head: Mapping[str, Tensor], shape: ModelShape, figures: Mapping[str, float]) -> dict[str, Tensor]:
    """Give linear.weight (C, F) and linear.bias (C,) of a head whose logits are recalibrated by figures that travel."""
    if shape.binary:
        slopes, shifts = [figures.get(SLOPE, 1.0)] * 2, [0.0, figures[INTERCEPT]]
    else:
        one = figures.get(SLOPE, 1.0)
        slopes = [figures.get(f"{_OF}.{name}.slope", one) for name in shape.names]
        shifts = [figures.get(f"{_OF}.{name}.intercept", 0.0) for name in shape.names]
    by, added = (torch.tensor(values, dtype=torch.float64) for values in (slopes, shifts))
    weight, bias = head["linear.weight"].double() * by[:, None], head["linear.bias"].double() * by + added
    return {"linear.weight": weight.float(), "linear.bias": bias.float()}


def told(figures: Mapping[str, float]) -> dict[str, float]:
    """Give those of a site's figures that recalibrate a model; empty where it could not fit any."""
    return {name: value for name, value in figures.items() if name.startswith(f"{_OF}.")}
