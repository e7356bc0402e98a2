"""One run of a federation: every embedding and seed, every direction, every strategy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flwr.serverapp import Grid

from common.config import Direction, Federation, digest
from common.likeness import LIKENESS
from common.strategies import EVERYTHING, LOCAL, LOGISTIC, POOLED, SOURCE, STRATEGIES
from server.attendance import Attendance
from server.courier import Courier
from server.events import Events
from server.greeting import Origin, Space, greet
from server.journal import Journal
from server.learning import Learning, one_is_alone, trainings
from server.likeness import likeness
from server.phases import Learnt, Phases
from server.results import JOURNAL, Results
from server.updates import Updates

Advance = Callable[[str], None]
_LONGEST = 100  # characters of the sources' names in a file's name
SPLITS = ("validation", "test")


def steps(federation: Federation) -> int:
    """Count how often a run tells of progress, at most."""
    transfers = sum(1 for name in federation.strategies if name != POOLED and STRATEGIES[name].from_sources)
    learnt = {tuple(direction.sources) for direction in federation.directions}
    a_seed = trainings(federation) * (federation.training.rounds + 1)
    a_seed += transfers * sum(1 for direction in federation.directions if direction.targets)
    if LOCAL in federation.strategies:
        sole = sum(1 for sources in learnt if len(sources) == 1) if one_is_alone(federation) else 0
        a_seed += len(federation.sites) - sole
    if LOGISTIC in federation.strategies:
        a_seed += len(federation.sites)
    if POOLED in federation.strategies:
        a_seed += federation.training.rounds + 1
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
        self.events = Events(self.folder)
        self.courier = Courier(
            self.grid,
            self.federation.failures,
            Journal(self.folder / JOURNAL),
            Attendance(self.folder / "rounds.csv"),
            tell=lambda line: self.events.write("missing", text=line),
        )
        self.updates = Updates(
            self.folder / "updates.csv",
            self.federation.aggregation.norm_bound,
            tell=lambda line: self.events.write("far", text=line),
        )
        names = () if self.federation.model.binary else self.federation.model.names
        self.results = Results(self.folder, names, scored=self.events.score)
        self.origin = Origin(self.name, time.time_ns(), digest(self.federation))

    def execute(self) -> Results:
        """Run everything that the federation file asks for.

        Raises
        ------
        SiteError
            A site failed and the configuration does not let the run go on without it.
        """
        wanted = [*self.federation.sites, *([POOLED] if POOLED in self.federation.strategies else [])]
        advance = self.events.step(self.advance)
        self.events.write("begin", steps=steps(self.federation))
        for embedding in self.federation.embeddings:
            space = greet(self.courier, self.federation, self.origin, embedding, wanted, self.events)
            near = {}
            if self.federation.aggregation.weights == LIKENESS:
                near = likeness(self.courier, self.federation, self.origin, space)
            for seed in self.federation.seeds:
                self._seed(Phases(self.courier, self.federation, self.origin, space, seed, advance, self.updates, near))
                self.results.write(self.courier.exchange, self.courier.absent, self.updates.far)
        self.courier.journal.close()
        return self.results

    def _seed(self, phases: Phases) -> None:
        learning = Learning(phases, lambda strategy, sources, learnt: self._told(phases, strategy, sources, learnt))
        for direction in self.federation.directions:
            learning.of(direction.sources)
            self._direction(phases, direction, learning)
        if LOCAL in self.federation.strategies:
            self._local(phases, learning)
        if LOGISTIC in self.federation.strategies:
            for site in self.federation.sites:
                self._transfer(phases, LOGISTIC, [], [site], None)
        if POOLED in self.federation.strategies:
            self._pooled(phases)

    def _told(self, phases: Phases, strategy: str, sources: list[str], learnt: Learnt) -> None:
        """Note what sources have learnt, and how it does there."""
        if strategy == SOURCE:
            self._keep(_label(phases, sources, SOURCE), learnt, phases.space)
        self._at_home(phases, strategy, sources, learnt)
        if len(sources) > 1:
            keys = [_keys(phases, strategy, sources, site) for site in learnt.shares]
            near = phases.near.get(tuple(sources), {})
            self.results.weigh(keys, learnt.shares, {site: each.distance for site, each in near.items()})
        phases.advance(f"learnt at {', '.join(sources)}")

    def _at_home(self, phases: Phases, strategy: str, sources: list[str], learnt: Learnt) -> None:
        for site, answer in learnt.at_home.items():
            self.results.add(_keys(phases, strategy, sources, site), answer, SPLITS, learnt.threshold)

    def _direction(self, phases: Phases, direction: Direction, learning: Learning) -> None:
        for name in self.federation.strategies:
            if not direction.targets or name == POOLED or not STRATEGIES[name].from_sources:
                continue
            learnt = learning.by(STRATEGIES[name], direction.sources)
            if STRATEGIES[name].prior and phases.prevalence(learnt) is None:
                self.courier.absent.append(
                    f"{name} at {', '.join(direction.targets)}: {', '.join(direction.sources)} do not tell how many of "
                    "their validation encounters are positive"
                )
                continue
            self._transfer(phases, name, direction.sources, direction.targets, learnt)

    def _local(self, phases: Phases, learning: Learning) -> None:
        """Let every site train alone; one that was the only source of a direction has done so."""
        for site in self.federation.sites:
            alone = learning.trained_alone(site)
            if alone is None:
                self._transfer(phases, LOCAL, [], [site], None)
            else:
                self._at_home(phases, LOCAL, [], alone)

    def _transfer(
        self, phases: Phases, name: str, sources: list[str], targets: list[str], learnt: Learnt | None
    ) -> None:
        for site, (answer, returned) in phases.transfer(name, targets, learnt).items():
            threshold = learnt.threshold if learnt is not None else None
            self.results.add(_keys(phases, name, sources, site), answer, SPLITS, threshold)
            if returned is not None:
                parts, label = STRATEGIES[name].kept, _label(phases, sources, f"{name}-{site}")
                self.results.keep_weights(label, returned, parts, phases.space.dimension, self.federation.model)

    def _pooled(self, phases: Phases) -> None:
        """Train where all encounters lie together, then score at every site: what no federation can have."""
        learnt = phases.learn([POOLED], POOLED)
        self._keep(_label(phases, [], POOLED), learnt, phases.space)
        for site, (answer, _) in phases.transfer("direct", list(self.federation.sites), learnt).items():
            self.results.add(_keys(phases, POOLED, [], site), answer, SPLITS, learnt.threshold)

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
    joined = "+".join(sources)
    if len(joined) > _LONGEST:  # a file's name has an end
        joined = f"{len(sources)}-sites-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
    return "_".join(filter(None, [phases.space.embedding.name, str(phases.seed), joined, what]))
