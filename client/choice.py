"""Chooses a strategy for a target from its own encounters: the lightest that is not worse than the best.

Letters: K candidates, N encounters, Q questions (`common.outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from client.training import Encounters, Stage, all_probabilities, half_way, train_steps
from common.choice import MARGIN, Verdict
from common.metrics import Floats, Integers
from common.model import ConceptCNN
from common.outcome import answers, told
from common.statistics.delong import Areas
from common.statistics.multiclass import several_labels
from common.strategies import HALF_LINEAR, LOCAL, STRATEGIES

_CERTAIN = 1.645  # standard errors: 95 %, one-sided


def tuned(came: ConceptCNN, untrained: ConceptCNN, stages: Mapping[str, Stage]) -> dict[str, ConceptCNN]:
    """Give what each candidate makes of a model that came to a target, or of an untrained one.

    Both stay as they are.
    """
    models = {name: (untrained if name == LOCAL else came).copy() for name in stages}
    for name, stage in stages.items():
        if not STRATEGIES[name].half_of:
            train_steps(models[name], stage, STRATEGIES[name].steps)
    for name, model in models.items():
        if whole := STRATEGIES[name].half_of:
            model.load_state_dict(half_way(came, models[whole]))
    return models


def choose(candidates: Mapping[str, ConceptCNN], stage: Stage, home: float | None = None) -> Verdict:
    """Choose by a target's validation encounters; where it has too few, by how the model that came does on the others.

    Parameters
    ----------
    candidates : mapping of str to ConceptCNN
        What each strategy made, the lightest first: the model as it came.
    stage : Stage
    home : float or None
        AUROC of the model that came, on validation encounters where it was learnt.
    """
    names, held = list(candidates), stage.validation
    if len(held):
        return judge(*_asked(list(candidates.values()), held, stage.min_cell))
    if home is None:
        return Verdict(names.index(HALF_LINEAR))
    # its training encounters are new to the model as it came, though not to the others
    yes, chances = _asked([candidates["direct"]], stage.train, stage.min_cell)
    return by_home(names, yes, chances[0], home)


def _asked(models: Sequence[ConceptCNN], encounters: Encounters, min_cell: int) -> tuple[Integers, Floats]:
    """Give the answers to the questions that may be told of, (N, Q), and each model's probabilities, (K, N, Q)."""
    yes = answers(models[0].shape, encounters.labels.numpy())
    asked = told(yes, min_cell)
    return yes[:, asked], np.stack([all_probabilities(model, encounters)[:, asked] for model in models])


def by_home(names: Sequence[str], yes: Integers, chances: Floats, home: float) -> Verdict:
    """Choose training alone if the model as it came does worse here than at home beyond chance, else half of `linear`.

    Parameters
    ----------
    names : sequence of str
        Of the candidates; the first is the model as it came.
    yes : ndarray
        int (N, Q), answers to each question.
    chances : ndarray
        float64 (N, Q), probabilities by the model as it came.
    home : float
        Its AUROC where it was learnt, of several questions the mean.
    """
    found = several_labels(yes, chances).area
    behind, error = max(home - float(found.values[0]), 0.0), float(np.sqrt(found.covariance[0, 0]))
    return Verdict(names.index(LOCAL if behind > _CERTAIN * error else HALF_LINEAR), [behind], [error])


def judge(yes: Integers, chances: Floats) -> Verdict:
    """Choose the first candidate whose AUROC, of several questions the mean, is near the best.

    Near is within one standard error, and within `MARGIN`.

    Parameters
    ----------
    yes : ndarray
        int (N, Q), 1 for a yes to each question; both answers.
    chances : ndarray
        float64 (K, N, Q), probabilities by each candidate, the lightest first.

    Notes
    -----
    The rule of Breiman et al. 1984, Classification and Regression Trees, section 3.4.3; the error is that of the paired
    difference to the best (DeLong et al. 1988), which is far smaller than that of an AUROC by itself. With few
    encounters it is still wide; the margin keeps the rule from giving away what can be had.
    """
    rows = [several_labels(yes, each).area for each in chances]
    found = Areas(np.concatenate([row.values for row in rows]), np.concatenate([row.parts for row in rows]))
    best = int(np.argmax(found.values))
    covariance = found.covariance
    own = np.diag(covariance)
    errors = np.sqrt(np.maximum(own + own[best] - 2 * covariance[best], 0.0))
    errors[best] = 0.0
    behind = found.values[best] - found.values
    return Verdict(int(np.argmax(behind <= np.minimum(errors, MARGIN))), behind.tolist(), errors.tolist())
