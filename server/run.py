"""One run of a federation: every embedding and seed, every direction, every strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flwr.serverapp import Grid

from common.config import Direction, Federation
from common.strategies import EVERYTHING, POOLED, SOURCE, STRATEGIES
from server.courier import Courier
from server.greeting import Space, greet
from server.journal import Journal
from server.phases import Learnt, Phases
from server.results import JOURNAL, Results

Advance = Callable[[str], None]


def steps(federation: Federation) -> int:
    """Count how often a run tells of progress."""
    transfers = sum(1 for name in federation.strategies if name != POOLED and STRATEGIES[name].from_sources)
    a_direction = transfers + federation.training.rounds + 1
    local = len(federation.sites) if "local" in federation.strategies else 0
    pooled = federation.training.rounds + 1 if POOLED in federation.strategies else 0
    a_seed = a_direction * len(federation.directions) + local + pooled
    return a_seed * len(federation.seeds) * len(federation.embeddings)


@dataclass
class FederatedRun:
    """A run, phase after phase; every answer is on disk before the next question, results after each seed.

    Attributes
    ----------
    name : str
        Goes into every task, so that a site can tell runs apart.
    """

    federation: Federation
    grid: Grid
    folder: Path
    name: str
    advance: Advance

    def __post_init__(self) -> None:
        self.courier = Courier(self.grid, self.federation.failures, Journal(self.folder / JOURNAL))
        self.results = Results(self.folder)

    def execute(self) -> Results:
        """Run everything that the federation file asks for.

        Raises
        ------
        SiteError
            A site failed and the configuration does not let the run go on without it.
        """
        wanted = [*self.federation.sites, *([POOLED] if POOLED in self.federation.strategies else [])]
        for embedding in self.federation.embeddings:
            space = greet(self.courier, self.federation, embedding, wanted)
            for seed in self.federation.seeds:
                self._seed(Phases(self.courier, self.federation, self.name, space, seed, self.advance))
                self.results.write(self.courier.exchange, self.courier.absent)
        self.courier.journal.close()
        return self.results

    def _seed(self, phases: Phases) -> None:
        if "local" in self.federation.strategies:
            for site in self.federation.sites:
                self._transfer(phases, "local", [], [site], None)
        if POOLED in self.federation.strategies:
            self._pooled(phases)
        for direction in self.federation.directions:
            self._direction(phases, direction)

    def _direction(self, phases: Phases, direction: Direction) -> None:
        learnt = phases.learn(direction.sources)
        label = _label(phases, direction.sources, SOURCE)
        self._keep(label, learnt, phases.space)
        for site, answer in learnt.at_home.items():
            keys = _keys(phases, SOURCE, direction.sources, site)
            self.results.add(keys, answer, ("validation", "test"), learnt.threshold)
        phases.advance(f"learnt at {', '.join(direction.sources)}")
        for name in self.federation.strategies:
            if direction.targets and name != POOLED and STRATEGIES[name].from_sources:
                self._transfer(phases, name, direction.sources, direction.targets, learnt)

    def _transfer(
        self, phases: Phases, name: str, sources: list[str], targets: list[str], learnt: Learnt | None
    ) -> None:
        for site, (answer, returned) in phases.transfer(name, targets, learnt).items():
            threshold = learnt.threshold if learnt is not None else None
            self.results.add(_keys(phases, name, sources, site), answer, ("validation", "test"), threshold)
            if returned is not None:
                parts, label = STRATEGIES[name].returned, _label(phases, sources, f"{name}-{site}")
                self.results.keep_weights(label, returned, parts, phases.space.dimension, self.federation.model)

    def _pooled(self, phases: Phases) -> None:
        """Train where all encounters lie together, then score at every site: what no federation can have."""
        learnt = phases.learn([POOLED], POOLED)
        self._keep(_label(phases, [], POOLED), learnt, phases.space)
        for site, (answer, _) in phases.transfer("direct", list(self.federation.sites), learnt).items():
            self.results.add(_keys(phases, POOLED, [], site), answer, ("validation", "test"), learnt.threshold)

    def _keep(self, label: str, learnt: Learnt, space: Space) -> None:
        self.results.keep_weights(label, learnt.weights, EVERYTHING, space.dimension, self.federation.model)


def _keys(phases: Phases, strategy: str, sources: list[str], site: str) -> dict[str, object]:
    return {
        "embedding": phases.space.embedding.name,
        "seed": phases.seed,
        "strategy": strategy,
        "sources": "+".join(sources),
        "site": site,
    }


def _label(phases: Phases, sources: list[str], what: str) -> str:
    """Name a file of weights after all that it depends on."""
    return "_".join(filter(None, [phases.space.embedding.name, str(phases.seed), "+".join(sources), what]))
