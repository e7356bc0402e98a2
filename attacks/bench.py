"""What the attacks of one audit share: the site's population, the other sites, and how they train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from attacks.config import Audit, Case
from attacks.pool import Pool, some
from attacks.population import Population, read_population
from attacks.rounds import Source, learn
from attacks.trainers import Trainer
from client.preparation import Prepared, prepare
from client.scores import enough
from client.site_file import Site, load_site
from client.training import Encounters, Stage, State
from common.config import ONE_HOT, Federation, Training
from common.errors import ConfigError, Problems
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.strategies import EVERYTHING, STRATEGIES
from common.tasks import Embedding


@dataclass
class Bench:
    """A federation whose one site is attacked.

    Attributes
    ----------
    name : str
        Of the site.
    seed : int
        Of the federation. The weights that training starts from follow from it, and everybody knows them.
    """

    federation: Federation
    embedding: Embedding
    sites: dict[str, Site]
    name: str
    seed: int
    trainer: Trainer
    _prepared: dict[str, Prepared] = field(default_factory=dict)
    _taught: dict[tuple[str, ...], State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.population: Population = read_population(self.sites[self.name], self.embedding, self._whole)

    def check(self, cases: Sequence[Case], finding: str | None) -> None:
        """Find out before anything is trained whether every case can be made.

        Raises
        ------
        ConfigError
            A site has too few encounters for a size, or there is no such finding.
        """
        self.population.find(finding)
        problems = Problems("audit-model")
        for size in dict.fromkeys(case.size for case in cases):
            if 2 * size > len(self.population):
                has = f"{self.name} has {len(self.population)} encounters"
                problems.add(f"size {size}: {has}; half of a pool of {2 * size} would be drawn. Choose --size")
            for name in dict.fromkeys(name for case in cases if self.name in case.sources for name in case.sources):
                if name != self.name and size > (whole := self._usable(name)):
                    problems.add(
                        f"size {size}: {name} has {whole} encounters to train and validate with; choose --size"
                    )
        problems.raise_if_any(ConfigError)

    def prepared(self, site: str) -> Prepared:
        """Give another site's encounters and table."""
        if site not in self._prepared:
            self._prepared[site] = prepare(self.sites[site], self.embedding, self._whole)
        return self._prepared[site]

    def start(self) -> State:
        """Give the weights that sources start from."""
        return initial_weights(self.population.table.shape[1], self.federation.model, derive(self.seed, "init"))

    def taught(self, sources: Sequence[str]) -> State:
        """Give the model that sources learn together from all their encounters, as it comes to the site."""
        if tuple(sources) in self._taught:
            return self._taught[tuple(sources)]
        models = []
        for name in sources:
            data = self.prepared(name)
            train, held = data.splits["train"], self._chosen_by(data.splits["validation"])
            models.append(Source(data.table, [self._stage(name, train, held, 0, "train", data.basis)]))
        self._taught[tuple(sources)] = learn(models, self.start(), self.federation.model, self.trainer)[0]
        return self._taught[tuple(sources)]

    def sources(self, names: Sequence[str], pool: Pool) -> list[Source]:
        """Give the sources, of which the site has the encounters that are drawn for each model.

        The others have as many encounters, the same ones in every federation.
        """
        mine = Source(self.population.table, self.stages(pool, "train", self.federation.training))
        size = int(pool.trained[0].sum() + pool.held[0].sum())
        return [mine if name == self.name else self._other(name, size, len(pool.trained)) for name in names]

    def stages(self, pool: Pool, purpose: str, training: Training, pulled: bool = False) -> list[Stage]:
        """Say how the site trains each model."""
        return [
            self._stage(
                self.name,
                pool.of_site(k, pool.trained),
                self._chosen_by(pool.of_site(k, pool.held)),
                k,
                purpose,
                self.population.basis,
                training,
                training.pull if pulled else 0.0,
            )
            for k in range(len(pool.trained))
        ]

    def model(self, weights: State, dropout: float = 0.0) -> ConceptCNN:
        """Give a model with these weights over the site's table."""
        model = ConceptCNN(self.population.table, self.federation.model, dropout)
        model.load_state_dict(weights)
        return model

    def _other(self, name: str, size: int, models: int) -> Source:
        data = self.prepared(name)
        train, held = data.splits["train"], data.splits["validation"]
        count = round(size * len(train) / self._usable(name))
        drawn = _drawn(train, count, derive(self.seed, "sample", name, "train"))
        chosen = _drawn(held, size - count, derive(self.seed, "sample", name, "validation"))
        chosen = self._chosen_by(chosen)
        return Source(data.table, [self._stage(name, drawn, chosen, k, "train", data.basis) for k in range(models)])

    def _chosen_by(self, validation: Encounters) -> Encounters:
        """Give what the model is chosen by: nothing, where the trainer lets no such score leave."""
        return validation if self.trainer.selects else validation.first(0)

    @property
    def _whole(self) -> bool:
        """Whether tables have the rows of all tokens that a site declares, as its agent's have."""
        return self.federation.privacy is not None

    def _usable(self, name: str) -> int:
        """Count another site's encounters to train and to validate with."""
        splits = self.prepared(name).splits
        return len(splits["train"]) + len(splits["validation"])

    def _stage(
        self,
        site: str,
        train: Encounters,
        validation: Encounters,
        k: int,
        purpose: str,
        basis: Tensor | None,
        training: Training | None = None,
        pull: float = 0.0,
    ) -> Stage:
        """Say how a site trains the model of one place; the first draws what a run of the federation would."""
        policy = self.sites[site].policy
        if not enough(validation, policy.min_cell, self.federation.model):
            validation = validation.first(0)
        seed = self.seed if k == 0 else derive(self.seed, "shadow", k)
        return Stage(
            train,
            validation,
            training or self.federation.training,
            EVERYTHING,
            partial(derive, seed, purpose, site),
            pull,
            basis,
            policy.min_cell,
        )


def bench_of(audit: Audit, trainer: Trainer) -> Bench:
    """Set up what an audit needs.

    Raises
    ------
    ConfigError, CohortError, TableError
        A site's file, cohort or table cannot be used.
    """
    sites = {name: load_site(Path(file)) for name, file in audit.files.items()}
    embedding = _embedding(audit.federation, audit.embedding, sites)
    return Bench(audit.federation, embedding, sites, audit.site, audit.federation.seeds[0], trainer)


def _embedding(federation: Federation, name: str, sites: dict[str, Site]) -> Embedding:
    """Give an embedding as the federation uses it; one-hot's columns are every token that any site declares."""
    embedding = Embedding(name=name, **federation.model_dump(include={"normalisation", "unknown", "absence"}))
    if name != ONE_HOT:
        return embedding
    words = {token.name for site in sites.values() for token in site.vocabulary}
    return embedding.model_copy(update={"vocabulary": tuple(sorted(words))})


def purpose_of(strategy: str) -> str:
    """Give what a target's draws are for under a strategy, as at a site (`client.agent`)."""
    return STRATEGIES[strategy].half_of or strategy


def _drawn(encounters: Encounters, count: int, seed: int) -> Encounters:
    """Draw some encounters; all of them are left in their order."""
    if count == len(encounters):
        return encounters
    order = torch.randperm(len(encounters), generator=torch.Generator().manual_seed(seed))
    return some(encounters, order[:count].numpy())
