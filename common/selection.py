"""Keeps the best of a sequence of models by their score on validation encounters, and says when to stop early."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Weights = TypeVar("Weights")


@dataclass
class BestKept(Generic[Weights]):
    """The best model so far.

    Attributes
    ----------
    patience : int or None
        Candidates without improvement after which `exhausted` is true; None never stops early.
    """

    patience: int | None = None
    weights: Weights | None = None
    score: float = -math.inf
    at: int = 0
    _considered: int = field(default=0, repr=False)

    def consider(self, score: float | None, weights: Weights) -> None:
        """Take `weights` if they score better than all before; a candidate without a score replaces one without."""
        self._considered += 1
        value = -math.inf if score is None or math.isnan(score) else score
        if value > self.score or self.score == -math.inf:
            self.score, self.weights, self.at = value, weights, self._considered

    @property
    def exhausted(self) -> bool:
        """Whether `patience` candidates in a row were no better."""
        return self.patience is not None and self._considered - self.at >= self.patience
