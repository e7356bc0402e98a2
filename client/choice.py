"""Chooses a strategy for a target from its own encounters: the lightest that is not worse than the best.

Letters: K candidates, N encounters, Q questions (`common.outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from client.training import Stage, all_probabilities, half_way, train_steps
from common.choice import Verdict
from common.metrics import Floats, Integers
from common.model import ConceptCNN
from common.outcome import answers, told
from common.statistics.delong import Areas
from common.statistics.multiclass import several_labels
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
    yes = answers(candidates[names[0]].shape, held.labels.numpy())
    asked = told(yes, stage.min_cell)
    chances = np.stack([all_probabilities(model, held)[:, asked] for model in candidates.values()])
    return judge(yes[:, asked], chances)


def judge(yes: Integers, chances: Floats) -> Verdict:
    """Choose the first candidate whose AUROC, of several questions the mean, is within one standard error of the best.

    Parameters
    ----------
    yes : ndarray
        int (N, Q), 1 for a yes to each question; both answers.
    chances : ndarray
        float64 (K, N, Q), probabilities by each candidate, the lightest first.

    Notes
    -----
    The rule of Breiman et al. 1984, Classification and Regression Trees, section 3.4.3; the error is that of the paired
    difference to the best (DeLong et al. 1988), which is far smaller than that of an AUROC by itself.
    """
    rows = [several_labels(yes, each).area for each in chances]
    found = Areas(np.concatenate([row.values for row in rows]), np.concatenate([row.parts for row in rows]))
    best = int(np.argmax(found.values))
    covariance = found.covariance
    own = np.diag(covariance)
    errors = np.sqrt(np.maximum(own + own[best] - 2 * covariance[best], 0.0))
    errors[best] = 0.0
    behind = found.values[best] - found.values
    return Verdict(int(np.argmax(behind <= errors)), behind.tolist(), errors.tolist())
