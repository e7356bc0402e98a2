"""How like two sites' patients are: a mean of embeddings with noise, which each site may tell.

An encounter is the mean of the vectors of what it has (findings that are absent are left out), seen in few random
directions and scaled to length 1. A site's mean is that of its patients' encounters. Encounters that share words, or
words alike, lie near each other, so that the distance of two means tells how far the patients' findings differ; it says
nothing of how findings and label hang together.

Letters: D columns of a table, M numbers of a mean.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from common.toml import Declared

LIKENESS = "likeness"  # the task by which a site is asked for its mean
MEAN = "mean"  # the array that it sends
NOISE = "likeness.noise"  # the figure beside it: the standard deviation of the noise of each number
NUMBERS = 32  # M: more would need more noise, fewer tell distances apart less well
FURTHEST = 2.0  # two means without noise are never further apart


class Likeness(Declared):
    """What a mean may cost a patient: (epsilon, delta) differential privacy.

    Two cohorts are neighbours where one patient's encounters are exchanged for others.
    """

    epsilon: float = Field(default=1.0, ge=0.01, le=100, allow_inf_nan=False)
    delta: float = Field(default=1e-5, ge=1e-12, le=0.01, allow_inf_nan=False)


def projection(columns: int) -> NDArray[np.float64]:
    """Give the directions, float64 (D, M), the same at every site and on every machine.

    Signs at random keep distances about as well as any directions do (Achlioptas 2003, Journal of Computer and System
    Sciences 66:671): a squared distance to a quarter of itself, by the standard deviation.
    """
    size = columns * NUMBERS
    drawn = hashlib.shake_256(f"sitebridge likeness {columns}".encode()).digest(-(-size // 8))
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[:size]
    return np.asarray((2.0 * bits - 1.0).reshape(columns, NUMBERS) / np.sqrt(NUMBERS))
