"""What a task means for patients: the noise it is done with, what it costs, and how its scores may leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.privacy.accounting import Charge, noise_for
from client.privacy.figures import score_noised, splits_of
from client.privacy.policy import Metrics, PrivacyPolicy
from client.privacy.randomness import Randomness
from client.privacy.training import Guard, Patients, charge_of
from client.scored import Scored
from client.scores import score_splits
from client.site_file import Site
from client.training import Encounters, Model
from common.config import Training
from common.figures import CURVE, METRICS
from common.privacy import Privacy
from common.strategies import ROLES, SOURCE
from common.tasks import Work

WEIGHTS, SCORES = "weights", "scores"  # what a charge is for
_ORDER = ("exact", "noised", "withheld")  # of several sites' wishes the last holds


@dataclass(frozen=True)
class Protection:
    """How one task protects patients.

    Attributes
    ----------
    guard : Guard or None
        Of training; None where it is not asked for.
    patients : int
        Of the training encounters.
    charges : dict of str to Charge
        What the task costs, by what it is for.
    metrics : {"exact", "noised", "withheld"}
        How scores leave.
    noise : float
        Of their counts, in patients.
    """

    guard: Guard | None = None
    patients: int = 0
    charges: dict[str, Charge] = field(default_factory=dict)
    metrics: Metrics = "exact"
    noise: float = 0.0

    def score(
        self,
        model: Model,
        task: Work,
        splits: Mapping[str, Encounters],
        site: str,
        min_cell: int,
        prefix: str = "",
    ) -> Scored:
        """Score a model on the splits that a task names, as far as scores may leave."""
        if self.metrics == "exact":
            return score_splits(model, task, splits, site, min_cell, prefix)
        if SCORES in self.charges:
            return score_noised(model, task, splits, min_cell, self.noise, Randomness())
        return Scored(suppressed={*METRICS, CURVE} if "test" in task.score else {*METRICS})


def protection_of(sites: Sequence[Site], task: Work, train: Encounters) -> Protection:
    """Say how a task is to protect the patients of a site, or of several that are pooled."""
    policies = [site.policy.privacy for site in sites if site.policy.privacy is not None]
    metrics: Metrics = max((policy.metrics for policy in policies), key=_ORDER.index, default="exact")
    noise = max((policy.metrics_noise for policy in policies), default=0.0)
    charges: dict[str, Charge] = {}
    guard, patients = None, 0
    if task.privacy is not None and task.training is not None and ROLES[task.strategy].tuned:
        patients = len(Patients(train))
        deviation = noise_of(task.privacy, task.training, patients, whole_rounds(task))
        guard = Guard(task.privacy.clip, deviation)
        rounds = 1 if task.strategy == SOURCE else whole_rounds(task)
        charges[WEIGHTS] = charge_of(task.training, patients, deviation, rounds)
    # What a source scores of a model that came would be paid for round by round, and would choose the round.
    if metrics == "noised" and task.strategy != SOURCE and task.model.binary and splits_of(task):
        charges[SCORES] = Charge(1.0, noise, 1)
    return Protection(guard, patients, charges, metrics, noise)


def noise_of(privacy: Privacy, training: Training, patients: int, rounds: int) -> float:
    """Give the noise multiplier that a federation asks for, or that keeps to the epsilon that it asks for."""
    if privacy.noise_multiplier is not None:
        return privacy.noise_multiplier
    assert privacy.epsilon is not None  # one of both is given
    whole = charge_of(training, patients, 1.0, rounds)
    return noise_for(privacy.epsilon, privacy.delta, whole.rate, whole.steps)


def whole_rounds(task: Work) -> int:
    """Give the rounds of the whole training that a task is of, of all its steps."""
    return 0 if task.training is None else task.training.rounds * len(ROLES[task.strategy].steps)


def populations(sites: Sequence[Site]) -> dict[str, PrivacyPolicy | None]:
    """Give the population of each site, and its budget."""
    return {population_of(site): site.policy.privacy for site in sites}


def population_of(site: Site) -> str:
    """Give the name under which a site's patients are in the ledger: whatever is asked of them, and by whomever.

    It follows from the site and its files of encounters alone. Another label, other findings, another split or other
    rows of the same files are the same patients, and have the same budget.
    """
    policy = site.policy.privacy
    if policy is not None and policy.population is not None:
        return policy.population
    cohort = site.file.cohort
    digest = hashlib.sha256(json.dumps([site.name, cohort.file, cohort.test_file]).encode()).hexdigest()
    return f"{site.name}-{digest[:12]}"
