"""DP-SGD: each step draws patients, cuts what each adds, and adds noise (Abadi et al. 2016, arXiv 1607.00133).

The unit is the patient. Every patient is drawn into a step independently of all others; a patient who is drawn brings
the mean gradient of all of the patient's encounters, cut to an L2 norm.

Noise in few coordinates (`client.compact`) is noise in all of them. The sum of gradients lies in the span of the
table's rows; noise beside the span is independent of the rest, touches no score, and would tell nothing. Without it the
release is the same Gaussian mechanism in the coordinates of the span, where lengths are the same, and what is made of
it afterwards needs no patient. It takes a span that no patient decides: the table here must hold all tokens that a site
declares, not those that its patients have.

Letters: N encounters, P patients, F filters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from client.privacy.accounting import Charge
from client.privacy.gradients import Drawn, Rows, clipped_sum, parts_of
from client.privacy.randomness import Randomness

if TYPE_CHECKING:  # training by epochs calls this one
    from client.training import Encounters, Learner, Stage
    from common.config import Training
    from common.model import ConceptCNN

_SLACK = 1 + 1e-4  # noise for a sum whose norms were rounded: in float32, lengths are wrong by less


@dataclass(frozen=True)
class Guard:
    """How training is kept from telling of a patient.

    Attributes
    ----------
    clip : float
        Largest L2 norm of what one patient adds to a step.
    noise : float
        Standard deviation of the noise over `clip`; 0 adds none, and protects nobody (for audits of this code).
    """

    clip: float
    noise: float
    randomness: Randomness = field(default_factory=Randomness, repr=False)

    def train_round(self, model: ConceptCNN, stage: Stage) -> None:
        """Train the epochs of one round, with a fresh optimiser, and leave the last step's weights in the model."""
        from client.training import Learner

        steps = PrivateSteps(Learner(model, stage), self)
        for _ in range(stage.training.epochs * steps_of(stage.training, len(steps.patients))):
            steps.step()
        steps.learner.write_back()


def rate_of(training: Training, patients: int) -> float:
    """Give the probability that a patient is drawn into a step; their expected number is the batch size."""
    return min(1.0, training.batch_size / patients)


def steps_of(training: Training, patients: int) -> int:
    """Give the steps of one epoch."""
    return math.ceil(1 / rate_of(training, patients)) if training.batches == "all" else training.batches


def charge_of(training: Training, patients: int, noise: float, rounds: int) -> Charge:
    """Give what some rounds cost."""
    steps = rounds * training.epochs * steps_of(training, patients)
    return Charge(rate_of(training, patients), noise, steps)


class Patients:
    """Which encounters are whose.

    Parameters
    ----------
    encounters : Encounters
        Where it does not say whose they are, each is a patient.
    """

    def __init__(self, encounters: Encounters) -> None:
        if encounters.patients is None:
            self.order = torch.arange(len(encounters))
            self.counts = torch.ones(len(encounters), dtype=torch.int64)
        else:
            _, number, self.counts = torch.unique(encounters.patients, return_inverse=True, return_counts=True)
            self.order = number.argsort(stable=True)
        self.starts = self.counts.cumsum(0) - self.counts

    def __len__(self) -> int:
        return len(self.counts)

    def draw(self, rate: float, randomness: Randomness) -> Drawn:
        """Draw each patient with a probability."""
        drawn = torch.from_numpy(randomness.uniform(len(self))).lt(rate).nonzero()[:, 0]
        counts = self.counts[drawn]
        patients = torch.repeat_interleave(counts)
        within = torch.arange(len(patients)) - (counts.cumsum(0) - counts)[patients]
        return Drawn(self.order[self.starts[drawn][patients] + within], patients, counts)


class PrivateSteps:
    """Takes steps of DP-SGD; the optimiser, momentum and decay are those of training without noise.

    Parameters
    ----------
    learner : Learner
        Of `client.training`; what of the model learns, in which coordinates, and its optimiser.
    """

    def __init__(self, learner: Learner, guard: Guard) -> None:
        self.learner, self.guard = learner, guard
        self.patients = Patients(learner.stage.train)
        self.rate = rate_of(learner.stage.training, len(self.patients))
        self.rows = Rows.of(learner.model.table)
        self.named = {name: p for name, p in learner.model.named_parameters() if p.requires_grad}

    def step(self) -> None:
        """Take one step."""
        learner, guard = self.learner, self.guard
        stage, drawn = learner.stage, self.patients.draw(self.rate, guard.randomness)
        tokens, labels = stage.train.tokens[drawn.chosen], stage.train.labels[drawn.chosen]
        pooled = None if learner.pooled is None else learner.pooled[drawn.chosen]
        parts = parts_of(learner.model, tokens, labels, self._keep(len(labels)), stage.tuned, pooled)
        sums = clipped_sum(parts, drawn, self.rows, stage.tuned, guard.clip)
        self._noisy(sums)
        self._pull()
        learner.optimiser.step()

    def _noisy(self, sums: dict[str, Tensor]) -> None:
        """Add noise to the sums, and make them the gradients; what has no sum keeps a gradient of zero, and decays."""
        flat = torch.cat([value.flatten() for value in sums.values()]).double()
        if self.guard.noise:
            deviation = self.guard.noise * self.guard.clip * _SLACK
            flat += self.guard.randomness.normal(len(flat)).mul_(deviation)
        flat /= self.rate * len(self.patients)  # the expected number: that of this step is nobody's business
        for parameter in self.learner.parameters:
            _gradient(parameter).zero_()
        pieces = torch.split(flat, [value.numel() for value in sums.values()])
        for name, piece in zip(sums, pieces, strict=True):
            gradient = _gradient(self.named[name])
            gradient.copy_(piece.view_as(gradient))

    def _pull(self) -> None:
        """Pull towards the weights that came, as FedProx does; it asks no patient."""
        if pull := self.learner.stage.proximal_mu:
            for parameter, came in zip(self.learner.parameters, self.learner.came, strict=True):
                _gradient(parameter).add_(parameter.detach() - came, alpha=pull)

    def _keep(self, count: int) -> Tensor:
        """Draw what dropout leaves, float32 (B, F); for each encounter by itself, so that no other changes it."""
        model = self.learner.model
        filters = model.linear.in_features
        if model.dropout == 0:
            return torch.ones(count, filters)
        drawn = torch.from_numpy(self.guard.randomness.uniform(count * filters)).reshape(count, filters)
        kept: Tensor = (drawn >= model.dropout).float() / (1 - model.dropout)
        return kept


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    """Give the array of a gradient, which the learner makes for every number that learns."""
    assert parameter.grad is not None
    return parameter.grad
