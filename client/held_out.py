"""What validation encounters answer: by how well a model agrees with them, the best is chosen.

Letters: N encounters, Q questions (`common.outcome`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from common.metrics import Floats, Integers, auroc
from common.outcome import answers, told
from common.shape import ModelShape


@dataclass(frozen=True)
class HeldOut:
    """The answers of validation encounters.

    Attributes
    ----------
    yes : ndarray
        int64 (N, Q).
    asked : list of int
        The questions with enough encounters of either answer; at least one.
    """

    yes: Integers
    asked: list[int]

    @classmethod
    def of(cls, shape: ModelShape, labels: Tensor, min_cell: int) -> HeldOut | None:
        """Look at labels as `common.outcome.loss` takes them; None where there is nothing to ask."""
        if len(labels) == 0:
            return None
        yes = answers(shape, labels.numpy())
        asked = told(yes, min_cell)
        return cls(yes, asked) if asked else None

    def auroc(self, chances: Floats) -> float:
        """Give the AUROC of probabilities of a yes, float64 (N, Q); of several questions their mean."""
        return float(np.mean([auroc(self.yes[:, q], chances[:, q]) for q in self.asked]))
