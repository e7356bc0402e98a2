"""What stands beside the network that travels: the mean of several networks, and logistic regression on findings.

Letters: N encounters, L tokens, V rows of the table, C classes or labels, Q questions (`common.outcome`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from client.training import Encounters, all_probabilities, validation_auroc
from common.metrics import Floats, Integers
from common.model import NO_TOKEN, ConceptCNN
from common.shape import ModelShape
from common.tasks import Arrays
from common.wire import unpack_several

_STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # scikit-learn's C, the strongest penalty first
_WITHOUT_VALIDATION = 1.0  # its default
_ITERATIONS = 10_000


@dataclass(frozen=True)
class Ensemble:
    """Several models, of which each counts alike."""

    members: Sequence[ConceptCNN]

    @property
    def shape(self) -> ModelShape:
        """What all of them predict."""
        return self.members[0].shape

    def chances(self, encounters: Encounters) -> Floats:
        """Give the mean of their probabilities, float64 (N, Q)."""
        return np.asarray(np.mean([all_probabilities(model, encounters) for model in self.members], axis=0))


def ensemble_of(arrays: Arrays, table: Tensor, shape: ModelShape) -> Ensemble:
    """Give the models that came, over a site's table.

    Raises
    ------
    WireError
        See `common.wire.unpack_several`.
    """
    members = []
    for weights in unpack_several(arrays, table.shape[1], shape):
        member = ConceptCNN(table, shape, 0.0)
        member.load_state_dict(weights)
        members.append(member)
    return Ensemble(members)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on which tokens an encounter has, with an L2 penalty.

    Attributes
    ----------
    rows : int
        V, tokens that there are.
    fitted : list
        Of classes one estimator of scikit-learn's, of labels one for each.
    """

    shape: ModelShape
    rows: int
    fitted: list[Any]

    def chances(self, encounters: Encounters) -> Floats:
        """Give the probability of a yes to each question, float64 (N, Q); of a class that was not there, 0."""
        present = _present(encounters, self.rows)
        places = 2 if self.shape.labels is not None else self.shape.outputs
        each = []
        for estimator in self.fitted:
            every = np.zeros((len(encounters), places))
            every[:, estimator.classes_] = estimator.predict_proba(present)
            each.append(every)
        if self.shape.labels is not None:
            return np.stack([every[:, 1] for every in each], axis=1)
        return each[0][:, 1:] if self.shape.binary else each[0]


def fit_logistic(
    shape: ModelShape, train: Encounters, validation: Encounters, rows: int, min_cell: int = 1
) -> Logistic:
    """Fit with each of four penalties, and keep the one with the best AUROC on validation encounters."""
    present, labels = _present(train, rows), train.labels.numpy()
    columns = labels.T if shape.labels is not None else labels[None]
    strengths = _STRENGTHS if len(validation) else (_WITHOUT_VALIDATION,)
    models = [Logistic(shape, rows, [_fitted(present, own, c) for own in columns]) for c in strengths]
    scores = [validation_auroc(model, validation, min_cell) or 0.0 for model in models]
    return models[int(np.argmax(scores))]


def _fitted(present: csr_array, labels: Integers, strength: float) -> Any:
    if labels.min() == labels.max():  # a label that everybody or nobody has
        return DummyClassifier().fit(present, labels)
    return LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(present, labels)


def _present(encounters: Encounters, rows: int) -> csr_array:
    """Give a column for each row of the table, 1 where an encounter has its token."""
    tokens = encounters.tokens.numpy().astype(np.int64)
    where, columns = np.nonzero(tokens != NO_TOKEN)
    found = csr_array((np.ones(len(where)), (where, tokens[where, columns])), shape=(len(tokens), rows))
    found.data[:] = 1.0  # a token in two columns is there once
    return found
