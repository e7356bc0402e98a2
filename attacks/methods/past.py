"""What optimiser and noise do to a weight in some steps, as whoever knows the settings can work out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from common.config import Training


@dataclass(frozen=True)
class Past:
    """What may have happened between two states of the weights.

    Attributes
    ----------
    steps : int
        Of the optimiser.
    decay : float
        What weight decay leaves in that many of a weight that has no gradient.
    spread : float
        Standard deviation of what noise adds to a weight in that many; 0 without noise.
    """

    steps: int
    decay: float
    spread: float = 0.0

    @classmethod
    def of(cls, training: Training, steps: int, noise: float = 0.0) -> Past:
        """Work out what is left of a weight, and of noise.

        Parameters
        ----------
        noise : float
            Standard deviation of the noise in each step's gradient.
        """
        left = list(_path(training, 1.0, 0.0, steps))
        moved = list(_path(training, 0.0, 1.0, steps)) if noise else []
        return cls(steps, left[-1] if left else 1.0, noise * math.sqrt(sum(value**2 for value in moved)))


def _path(training: Training, weight: float, pushed: float, steps: int) -> Iterator[float]:
    """Give a weight after each step of SGD with Nesterov's momentum whose first gradient alone is not zero."""
    speed = 0.0
    for _ in range(steps):
        gradient = training.weight_decay * weight + pushed
        speed, pushed = training.momentum * speed + gradient, 0.0
        weight -= training.learning_rate * (gradient + training.momentum * speed)
        yield weight
