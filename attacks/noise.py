"""Training with noise at the site: what a federation's ``[privacy]`` has a site's agent do (`client.privacy`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attacks.methods.past import Past
from attacks.trainers import Plain, Steps, Trainer
from client.privacy.protection import noise_of
from client.privacy.training import Guard, Patients, rate_of, steps_of
from client.training import Encounters, Stage, train_round, train_steps
from common.model import ConceptCNN
from common.privacy import Privacy


@dataclass(frozen=True)
class Noisy:
    """DP-SGD. Each site finds its noise by its own number of patients, and draws it from the operating system."""

    privacy: Privacy
    selects = False

    @property
    def defence(self) -> str:
        """How much noise, in the federation's words."""
        if self.privacy.epsilon is None:
            return f"noise {self.privacy.noise_multiplier:g}"
        return f"epsilon {self.privacy.epsilon:g}"

    def round(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], number: int) -> None:
        """Train one round; the noise is that of all rounds."""
        for model, stage in zip(models, stages, strict=True):
            train_round(model, replace(stage, guard=self._guard(stage, 1)), number)

    def tune(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], steps: Steps) -> None:
        """Train some parts and then others; the noise is that of all of it."""
        for model, stage in zip(models, stages, strict=True):
            train_steps(model, replace(stage, guard=self._guard(stage, len(steps))), steps)

    def counted(self, train: Encounters) -> int:
        """Count patients."""
        return len(Patients(train))

    def pasts(self, stage: Stage) -> list[Past]:
        """Give the number of steps, which nothing cuts short, and how far noise moves a weight in them."""
        training, patients = stage.training, self.counted(stage.train)
        guard = self._guard(stage, 1)
        deviation = guard.noise * guard.clip / (rate_of(training, patients) * patients)
        return [Past.of(training, training.epochs * steps_of(training, patients), deviation)]

    def _guard(self, stage: Stage, trainings: int) -> Guard:
        rounds = stage.training.rounds * trainings
        return Guard(self.privacy.clip, noise_of(self.privacy, stage.training, self.counted(stage.train), rounds))


def trainer_of(privacy: Privacy | None) -> Trainer:
    """Give the training that a federation asks for."""
    return Plain() if privacy is None else Noisy(privacy)
