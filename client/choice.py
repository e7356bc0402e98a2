"""Chooses a strategy for a target from its own encounters: the lightest that is not worse than the best.

Letters: K candidates, N encounters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from client.training import Stage, half_way, probabilities, train_steps
from common.choice import Verdict
from common.metrics import Floats, Integers
from common.model import ConceptCNN
from common.statistics.delong import areas
from common.strategies import STRATEGIES, WITHOUT_VALIDATION


def tuned(came: ConceptCNN, stages: Mapping[str, Stage]) -> dict[str, ConceptCNN]:
    """Give what each candidate makes of a model that came to a target; the model stays as it is."""
    models = {name: came.copy() for name in stages}
    for name, stage in stages.items():
        if not STRATEGIES[name].half_of:
            train_steps(models[name], stage, STRATEGIES[name].steps)
    for name, model in models.items():
        if whole := STRATEGIES[name].half_of:
            model.load_state_dict(half_way(came, models[whole]))
    return models


def choose(candidates: Mapping[str, ConceptCNN], stage: Stage) -> Verdict:
    """Choose by a target's validation encounters; where it has too few to select by, there is nothing to choose."""
    names, held = list(candidates), stage.validation
    if not len(held):
        return Verdict(names.index(WITHOUT_VALIDATION))
    return judge(held.labels.numpy(), np.stack([probabilities(model, held) for model in candidates.values()]))


def judge(labels: Integers, scores: Floats) -> Verdict:
    """Choose the first candidate whose AUROC is within one standard error of the best.

    Parameters
    ----------
    labels : ndarray
        int (N,), both classes.
    scores : ndarray
        float64 (K, N), probabilities by each candidate, the lightest first.

    Notes
    -----
    The rule of Breiman et al. 1984, Classification and Regression Trees, section 3.4.3; the error is that of the paired
    difference to the best (DeLong et al. 1988), which is far smaller than that of an AUROC by itself.
    """
    found = areas(labels, scores)
    best = int(np.argmax(found.values))
    covariance = found.covariance
    own = np.diag(covariance)
    errors = np.sqrt(np.maximum(own + own[best] - 2 * covariance[best], 0.0))
    errors[best] = 0.0
    behind = found.values[best] - found.values
    return Verdict(int(np.argmax(behind <= errors)), behind.tolist(), errors.tolist())
