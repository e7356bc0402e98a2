"""Trains and scores the cells of a study that share a source: all seeds of a cell together.

Every cell is what `sitebridge simulate` does for it: the same draws, the same rules of selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.baselines import fit_logistic
from client.boundary import check_label
from client.choice import choose
from client.preparation import Prepared, prepare
from client.scores import enough, threshold_of
from client.site_file import Site
from client.together import train_steps_together, train_together
from client.training import (
    Encounters,
    Model,
    Stage,
    all_probabilities,
    half_way,
    recalibrate,
    validation_auroc,
)
from common.config import ONE_HOT, Federation, Training
from common.errors import ConfigError
from common.model import ConceptCNN, initial_weights
from common.outcome import answers, told
from common.seeds import derive
from common.strategies import EVERYTHING, LOCAL, STRATEGIES, TransferStrategy
from common.tasks import Embedding
from study.config import Size
from study.scoring import Tested

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One strategy at one target, for every seed.

    Attributes
    ----------
    scores : ndarray
        float64 (S, N, Q), the probability of a yes to each question (`common.outcome`) of the target's test encounters.
    thresholds : list of (float or None)
        Of each seed's model, chosen where it was learnt; of two classes only.
    """

    target: str
    size: Size
    strategy: str
    scores: Floats
    thresholds: list[float | None]


@dataclass(frozen=True)
class Learnt:
    """Each seed's model, as it comes to a target.

    Attributes
    ----------
    models : list of ConceptCNN
    thresholds, aurocs : list of (float or None)
        Of each seed's model where it was learnt, on validation encounters; None where they are too few.
    """

    models: list[ConceptCNN]
    thresholds: list[float | None]
    aurocs: list[float | None]


@dataclass
class Bench:
    """What the cells of one embedding and one preset share."""

    federation: Federation
    embedding: Embedding
    sites: dict[str, Site]
    kept: dict[tuple[str, str], list[ConceptCNN]] = field(default_factory=dict)  # by target and strategy
    prevalence: tuple[float, ...] | None = None  # at that source

    @classmethod
    def of(cls, federation: Federation, name: str, sites: dict[str, Site], needed: dict[str, Site]) -> Bench:
        """Give one-hot its columns, every token that any site declares; read the sites that are needed.

        Raises
        ------
        OtherLabelError
            A site's label is not what the study predicts.
        """
        check_label(list(sites.values()), federation.model)
        embedding = Embedding(name=name, **federation.model_dump(include={"normalisation", "unknown", "absence"}))
        if name == ONE_HOT:
            words = {token.name for site in sites.values() for token in site.vocabulary}
            embedding = embedding.model_copy(update={"vocabulary": tuple(sorted(words))})
        return cls(federation, embedding, needed)

    @cached_property
    def data(self) -> dict[str, Prepared]:
        """Every site's encounters and table."""
        return {name: prepare(site, self.embedding) for name, site in self.sites.items()}

    def tested(self, target: str) -> Tested:
        """Give the test encounters of a target."""
        labels = self.data[target].splits["test"].labels.numpy()
        return Tested.of(self.federation.model, labels, self.sites[target].policy.min_cell)

    def learn(self, source: str) -> Learnt:
        """Train each seed's model at a source."""
        data, validation = self.data[source], self._validation(source, self.data[source].splits["validation"])
        models = [self.untrained(source, seed) for seed in self.federation.seeds]
        train = data.splits["train"]
        stages = [self._stage(source, train, validation, seed, "train") for seed in self.federation.seeds]
        train_together(models, stages)
        min_cell = self.sites[source].policy.min_cell
        self.prevalence = self._prevalence(validation, min_cell)
        return Learnt(
            models,
            [_threshold(model, validation) for model in models],
            [validation_auroc(model, validation, min_cell) for model in models],
        )

    def _prevalence(self, validation: Encounters, min_cell: int) -> tuple[float, ...] | None:
        """Give the share of each class or label among a source's validation encounters; None where one is not told."""
        yes = answers(self.federation.model, validation.labels.numpy())
        if len(told(yes, min_cell)) < yes.shape[1]:
            return None
        return tuple(float(share) for share in yes.mean(axis=0))

    def untrained(self, site: str, seed: int) -> ConceptCNN:
        """Give the model that a seed starts from, over a site's table."""
        table, shape = self.data[site].table, self.federation.model
        model = ConceptCNN(table, shape, self.federation.training.dropout)
        model.load_state_dict(initial_weights(table.shape[1], shape, derive(seed, "init")))
        return model

    def tune(self, target: str, sizes: Sequence[Size], strategy: str, came: Learnt) -> list[Cell]:
        """Do at a target what a strategy does, to each seed's model and with each size, and score it there."""
        data, stages = self.data[target], self.stages(target, sizes, strategy)
        models: Sequence[Model] = []
        if STRATEGIES[strategy].logistic:
            rows = len(data.table)
            models = [fit_logistic(self.federation.model, s.train, s.validation, rows, s.min_cell) for s in stages]
        else:
            models = self._made(target, sizes, strategy, came)
        at = list(came.thresholds) * len(sizes)
        if not STRATEGIES[strategy].from_sources:
            at = [_threshold(model, stage.validation) for model, stage in zip(models, stages, strict=True)]
        test = np.stack([all_probabilities(model, data.splits["test"]) for model in models])
        step = len(came.models)
        starts = range(0, len(models), step)
        return [
            Cell(target, size, strategy, test[start : start + step], at[start : start + step])
            for size, start in zip(sizes, starts, strict=True)
        ]

    def _made(self, target: str, sizes: Sequence[Size], strategy: str, came: Learnt) -> list[ConceptCNN]:
        """Give what a strategy makes of the models that came; what others are made of is made once."""
        if (target, strategy) not in self.kept:
            self.kept[target, strategy] = self._make(target, sizes, strategy, came)
        return self.kept[target, strategy]

    def _make(self, target: str, sizes: Sequence[Size], strategy: str, came: Learnt) -> list[ConceptCNN]:
        what, stages = STRATEGIES[strategy], self.stages(target, sizes, strategy)
        if what.candidates:
            made = [self._made(target, sizes, name, came) for name in what.candidates]
            homes = list(came.aurocs) * len(sizes)
            return [_chosen(what.candidates, *one) for one in zip(zip(*made, strict=True), stages, homes, strict=True)]
        table, training = self.data[target].table, self._training(what)
        begun = came.models if what.from_sources else self.untrained_at(target).models
        models = [self._over(model, table, training) for _ in sizes for model in begun]
        if what.personal:  # the source's head stays there
            untrained = [self.untrained(target, seed) for seed in self.federation.seeds] * len(sizes)
            for model, start in zip(models, untrained, strict=True):
                model.linear.load_state_dict(start.linear.state_dict())
        if what.prior and self.prevalence is None:
            raise ConfigError(f"{strategy}: the source has too few validation encounters to tell a prevalence")
        if what.half_of:
            whole = self._made(target, sizes, what.half_of, came)
            for model, end in zip(models, whole, strict=True):
                model.load_state_dict(half_way(model, end))
        elif what.tuned:
            train_steps_together(models, stages, what.steps)
        for model, stage in zip(models, stages, strict=True):
            if what.recalibrated:
                known = self.prevalence if what.prior else None
                recalibrate(model, stage.train, what.recalibrated, known)
        return models

    def stages(self, target: str, sizes: Sequence[Size], strategy: str) -> list[Stage]:
        """Say how a strategy trains, for each size and seed."""
        what = STRATEGIES[strategy]
        purpose = "train" if strategy == LOCAL else what.half_of or strategy
        return [
            self._stage(target, *self.drawn(target, size, seed), seed, purpose, self._training(what), what.pulled)
            for size in sizes
            for seed in self.federation.seeds
        ]

    def cells(self, source: str | None, targets: Sequence[str], sizes: Sequence[Size]) -> Iterator[Cell]:
        """Make the cells of one source, or of targets that train alone, strategy by strategy."""
        learnt = self.learn(source) if source is not None else None
        self.kept = {key: models for key, models in self.kept.items() if not STRATEGIES[key[1]].from_sources}
        for target in targets:
            came = learnt or self.untrained_at(target)
            for strategy in self.federation.strategies:
                if STRATEGIES[strategy].from_sources == (source is not None):
                    yield from self.tune(target, sizes, strategy, came)

    def untrained_at(self, target: str) -> Learnt:
        """Give what training alone begins with."""
        seeds = self.federation.seeds
        return Learnt([self.untrained(target, seed) for seed in seeds], [None] * len(seeds), [None] * len(seeds))

    def _training(self, strategy: TransferStrategy) -> Training:
        return self.federation.tuning if strategy.from_sources else self.federation.training

    def _stage(
        self,
        site: str,
        train: Encounters,
        validation: Encounters,
        seed: int,
        purpose: str,
        training: Training | None = None,
        pulled: bool = False,
    ) -> Stage:
        own, min_cell = training or self.federation.training, self.sites[site].policy.min_cell
        pull, basis = own.pull if pulled else 0.0, self.data[site].basis
        return Stage(train, validation, own, EVERYTHING, partial(derive, seed, purpose, site), pull, basis, min_cell)

    def drawn(self, target: str, size: Size, seed: int) -> tuple[Encounters, Encounters]:
        """Draw a target's encounters to train on and to validate with, in the proportion that it has."""
        train, validation = (self.data[target].splits[name] for name in ("train", "validation"))
        if size != "all":
            whole = len(train) + len(validation)
            if size > whole:
                raise ConfigError(f"sizes: {size}, but {target} has {whole} encounters to train and validate with")
            count = round(size * len(train) / whole)
            train = _first(train, count, derive(seed, "sample", target, "train"))
            validation = _first(validation, size - count, derive(seed, "sample", target, "validation"))
        return train, self._validation(target, validation)

    def _over(self, model: ConceptCNN, table: Tensor, training: Training) -> ConceptCNN:
        """Copy a model, over a site's table."""
        own = ConceptCNN(table, self.federation.model, training.dropout)
        own.load_state_dict(model.state_dict())
        return own

    def _validation(self, site: str, validation: Encounters) -> Encounters:
        """Give the validation encounters, or none where they are too few for a number about them to leave the site."""
        min_cell = self.sites[site].policy.min_cell
        return validation if enough(validation, min_cell, self.federation.model) else validation.first(0)


def _threshold(model: Model, validation: Encounters) -> float | None:
    return threshold_of(model, validation) if len(validation) and model.shape.binary else None


def _chosen(names: Sequence[str], models: Sequence[ConceptCNN], stage: Stage, home: float | None) -> ConceptCNN:
    return models[choose(dict(zip(names, models, strict=True)), stage, home).chosen]


def _first(encounters: Encounters, count: int, seed: int) -> Encounters:
    """Take the first of a permutation: of one seed, fewer are a part of more."""
    if count == len(encounters):
        return encounters
    chosen = torch.randperm(len(encounters), generator=torch.Generator().manual_seed(seed))[:count]
    return Encounters(encounters.tokens[chosen], encounters.labels[chosen])
