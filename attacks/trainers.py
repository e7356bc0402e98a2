"""How models are trained that are to be attacked: as sites do, or with a defence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from attacks.methods.past import Past
from client.together import train_steps_together, train_together
from client.training import Encounters, Stage
from common.model import ConceptCNN

Steps = Sequence[tuple[str, ...]]


class Trainer(Protocol):
    """What a site does with its encounters, to many models at once; each has a stage of its own, and its seeds.

    A defence at the site is another class of this form: the attacks know nothing of it.

    Attributes
    ----------
    defence : str
        As it stands in the table.
    selects : bool
        Whether validation scores choose the model that is kept.
    """

    @property
    def defence(self) -> str:
        """Its name."""

    @property
    def selects(self) -> bool:
        """Whether validation scores choose the model; without them the last one is kept."""

    def round(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], number: int) -> None:
        """Train one round of ``stage.training.rounds`` at a source, and leave what the source answers in each model.

        Parameters
        ----------
        number : int
            Of the round, from 1.
        """

    def tune(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], steps: Steps) -> None:
        """Do all the training of a target, and leave what it answers in each model.

        Parameters
        ----------
        steps : sequence of tuple of str
            Parts of the model that learn, one training after the other, as `common.strategies` has them.
        """

    def counted(self, train: Encounters) -> int:
        """Count what the site says that it trained on, by which the mean over sources weighs it."""

    def pasts(self, stage: Stage) -> list[Past]:
        """Give what may have happened to the weights in one message's training, as whoever knows the settings."""


class Plain:
    """Training as it is, to the bit (`client.together`)."""

    defence, selects = "none", True

    def round(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], number: int) -> None:
        """Train one round; where there is one only, the best epoch is kept."""
        train_together(models, [_of_round(stage, number) for stage in stages])

    def tune(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], steps: Steps) -> None:
        """Train some parts and then others, each time from the best of before."""
        train_steps_together(models, stages, steps)

    def counted(self, train: Encounters) -> int:
        """Count encounters."""
        return len(train)

    def pasts(self, stage: Stage) -> list[Past]:
        """Give every number of steps that is possible: of one round by itself, the best epoch is kept."""
        training = stage.training
        epoch = math.ceil(len(stage.train) / training.batch_size) if training.batches == "all" else training.batches
        if training.rounds > 1:
            return [Past.of(training, epoch * training.epochs)]
        return [Past.of(training, epoch * number) for number in range(1, training.epochs + 1)]


def _of_round(stage: Stage, number: int) -> Stage:
    """Give the stage of one round of several: nothing is selected within it, and it draws for its number."""
    if stage.training.rounds == 1:
        return stage
    once = stage.training.model_copy(update={"rounds": 1})
    return replace(stage, training=once, validation=stage.validation.first(0), seed_of=partial(_drawn, stage, number))


def _drawn(stage: Stage, number: int, _: int) -> int:
    return stage.seed_of(number)
