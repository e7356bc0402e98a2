"""Spread over seeds apart from spread over patients, for one recipe trained with several seeds.

A recipe is all that is fixed before training (embedding, strategy, data); a model is what one seed makes of it.

The model of the error: ``A_s = mu + seed_s + patients + (seed x patients)_s``, all with mean 0. The S models are
scored on the same patients, so DeLong's covariance between them is what all share, and its variances hold the
interaction too. The variance between the S scores is that of the seeds plus the interaction, which is taken off. As a
mixed-model analysis of readers and cases, with seeds as readers: Obuchowski and Rockette 1995, Communications in
Statistics - Simulation 24:285; degrees of freedom by Satterthwaite 1946, Biometrics Bulletin 2:110.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.metrics import Estimate
from common.statistics.delong import Areas, Difference, judge
from common.statistics.intervals import Scale, from_variance


@dataclass(frozen=True)
class Spread:
    """The mean score of S seeds, or the mean difference of two recipes, and the parts of its variance.

    Attributes
    ----------
    seeds : int
        S.
    value : float
        Mean over the seeds.
    patients : float
        Variance of the mean of these S models over samples of patients.
    seed : float
        Variance of a model's score from seed to seed, at 0 where the scores vary less than patients explain; NaN with
        one seed.
    observed : float
        Variance of the S scores as they are, ``s^2``.
    """

    seeds: int
    value: float
    patients: float
    seed: float
    observed: float

    def models(self, scale: Scale = "logit") -> Estimate:
        """Give the interval for these S models on new patients of the same kind."""
        return from_variance(self.value, self.patients, scale)

    def recipe(self, scale: Scale = "logit") -> Estimate:
        """Give the interval for the recipe: the mean over all seeds, on new patients."""
        return self._interval(0, scale)

    def new_seed(self, scale: Scale = "logit") -> Estimate:
        """Give the interval in which the recipe's next model falls, trained with a new seed, for new patients.

        It is where that model's score among all such patients lies; a score on few of them scatters more.
        """
        return self._interval(1, scale)

    def difference(self, seeds: bool = True) -> Difference:
        """Test whether a mean difference is 0: for the recipes, or without `seeds` for these very models."""
        variance, df = self._with_seeds(0) if seeds else (self.patients, np.inf)
        return judge(self.value, variance, df)

    def _interval(self, further: int, scale: Scale) -> Estimate:
        variance, df = self._with_seeds(further)
        return from_variance(self.value, variance, scale, df)

    def _with_seeds(self, further: int) -> tuple[float, float]:
        """Give variance and degrees of freedom over patients and seeds, with so many seeds to come."""
        share = 1 / self.seeds + further
        variance = self.patients + self.seed * share
        if not self.seed > 0:
            return variance, np.inf
        return variance, (self.seeds - 1) * (variance / (self.observed * share)) ** 2


def spread(several: Areas) -> Spread:
    """Take the variance of a mean over seeds apart.

    Parameters
    ----------
    several : Areas
        One row for each of S seeds of one recipe, on the same encounters: scores, or differences of two recipes seed
        by seed.
    """
    count, covariance = len(several.values), several.covariance
    value, patients = float(several.values.mean()), float(covariance.mean())
    if count == 1:
        return Spread(1, value, patients, float("nan"), float("nan"))
    own = float(np.trace(covariance)) / count
    shared = (float(covariance.sum()) - own * count) / (count * (count - 1))
    observed = float(several.values.var(ddof=1))
    return Spread(count, value, patients, max(0.0, observed - (own - shared)), observed)
