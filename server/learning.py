"""What the sources of a run learn for one seed: together, with heads of their own, or each alone; each only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from common.config import Aggregation, Federation
from common.strategies import ENSEMBLE, FEDPER, SOURCE, STRATEGIES, TransferStrategy
from server.personal import with_head
from server.phases import Learnt, Phases, mean_threshold

Told = Callable[[str, list[str], Learnt], None]


@dataclass
class Learning:
    """Gives what a strategy starts from.

    Attributes
    ----------
    told : callable
        Of what is newly learnt: the strategy that it is for, its sources, and itself.
    """

    phases: Phases
    told: Told
    together: dict[tuple[str, ...], Learnt] = field(default_factory=dict)
    personal: dict[tuple[str, ...], Learnt] = field(default_factory=dict)
    alone: dict[str, Learnt] = field(default_factory=dict)

    def by(self, strategy: TransferStrategy, sources: list[str]) -> Learnt:
        """Give the model, or the models one after the other, that a target receives under a strategy."""
        if strategy.ensemble:
            return self._ensemble(sources)
        return self._personal(sources) if strategy.personal else self.of(sources)

    def of(self, sources: list[str]) -> Learnt:
        """Give what sources learn together."""
        key = tuple(sources)
        if key not in self.together:
            self.together[key] = self.phases.learn(sources)
            self.told(SOURCE, sources, self.together[key])
        return self.together[key]

    def _personal(self, sources: list[str]) -> Learnt:
        """Give a CNN learnt with personal heads, and an untrained head; of one source, its own CNN."""
        key = tuple(sources)
        if key not in self.personal:
            if len(sources) == 1 and one_is_alone(self.phases.federation):
                whole, size = self.of(sources), self.phases.size_of_head
                weights = with_head(whole.weights, self.phases.initial()[-size:])
                self.personal[key] = replace(whole, weights=weights)
            else:
                self.personal[key] = self.phases.learn(sources, FEDPER, personal=True)
                self.told(FEDPER, sources, self.personal[key])
        return self.personal[key]

    def _ensemble(self, sources: list[str]) -> Learnt:
        each = [self._alone(site) for site in sources]
        at_home = {site: answer for one in each for site, answer in one.at_home.items()}
        weights = np.concatenate([one.weights for one in each])
        return Learnt(weights, mean_threshold(at_home), at_home, 0)

    def _alone(self, site: str) -> Learnt:
        if one_is_alone(self.phases.federation) and (site,) in self.together:
            return self.together[site,]
        if site not in self.alone:
            self.alone[site] = self.phases.learn([site], ENSEMBLE, aggregation=Aggregation())
            self.told(ENSEMBLE, [site], self.alone[site])
        return self.alone[site]

    def trained_alone(self, site: str) -> Learnt | None:
        """Give what a site learnt that was the only source of a direction, or one of an ensemble, if it was."""
        together = self.together.get((site,)) if one_is_alone(self.phases.federation) else None
        return together or self.alone.get(site)


def one_is_alone(federation: Federation) -> bool:
    """Whether a single source learns what it would alone: the mean of one is that one, to the bit."""
    plain = Aggregation()
    weighed = {"weights": plain.weights, "likeness": plain.likeness}
    return federation.aggregation.model_copy(update=weighed) == plain


def trainings(federation: Federation) -> int:
    """Count how often sources train over all rounds for one seed, at most."""
    sources = {tuple(direction.sources) for direction in federation.directions}
    wanted = [STRATEGIES[name] for name in federation.strategies if name in STRATEGIES]
    count = len(sources)
    count += len(sources) if any(strategy.personal for strategy in wanted) else 0
    count += len({site for each in sources for site in each}) if any(strategy.ensemble for strategy in wanted) else 0
    return count
