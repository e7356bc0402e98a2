"""What leaves a site, and who sees it: models of many simulated sites, and the margins that they give encounters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attacks.bench import Bench, purpose_of
from attacks.methods.loss import losses
from attacks.pool import Pool
from attacks.rounds import Round, learn
from client.together.scoring import Pools
from client.training import Encounters, State, half_way, snapshot
from common.metrics import Floats
from common.strategies import STRATEGIES

EVERYONE, COORDINATOR, SUM = "everyone", "coordinator", "sum"
FEWEST = 3  # sources of a secure sum: of two, each could take its own away and have the other's


@dataclass(frozen=True)
class Seen:
    """What a party has of each model's training.

    Attributes
    ----------
    margins : ndarray
        float64 (M, N), of the pool's encounters, mean over the models that it sees.
    losses : ndarray
        float64 (M, N), of the pool's encounters under the one model that it sees; where it sees what went in and what
        came out of each round, how far the loss fell over all of them, with a minus.
    """

    margins: Floats
    losses: Floats


@dataclass(frozen=True)
class Released:
    """What leaves of M sites.

    Attributes
    ----------
    models : list of State
        The model that is kept in the end.
    seen : dict of str to Seen
        By who sees it.
    """

    models: list[State]
    seen: dict[str, Seen]


class Scorer:
    """Gives margins of the same encounters under many models."""

    def __init__(self, bench: Bench, encounters: Encounters) -> None:
        self.bench, self.count = bench, len(encounters)
        self._pools = Pools([encounters.tokens], len(bench.population.table))
        self._signs = 2.0 * encounters.labels.double() - 1.0

    @torch.no_grad()
    def margins(self, weights: State) -> Floats:
        """Give the true class's logit less the other's, float64 (N,)."""
        model = self.bench.model(weights)
        logits: Tensor = model.head(self._pools.pooled(0, model)).double()
        return np.asarray((self._signs * (logits[:, 1] - logits[:, 0])).numpy())

    def all(self, models: Sequence[State]) -> Floats:
        """Give the margins under every model, float64 (M, N)."""
        return np.stack([self.margins(weights) for weights in models])


def release(bench: Bench, strategy: str, sources: Sequence[str], pool: Pool) -> Released:
    """Let every site of a pool do its part of a federation, and collect what leaves it.

    Parameters
    ----------
    strategy : str
        "direct": the site is one of the sources. Otherwise it is the target of what the sources learnt.
    """
    scorer = Scorer(bench, pool.encounters)
    if bench.name not in sources:
        models = _tuned(bench, strategy, sources, pool)
        margins = scorer.all(models)
        return Released(models, {EVERYONE: Seen(margins, losses(margins))})
    watch = Watch(scorer, len(pool.trained))
    parties, place = bench.sources(sources, pool), list(sources).index(bench.name)
    models = learn(parties, bench.start(), bench.federation.model, bench.trainer, place, watch.note)
    margins = scorer.all(models)
    seen = {EVERYONE: Seen(margins, losses(margins)), COORDINATOR: watch.of(COORDINATOR)}
    if len(sources) >= FEWEST:
        seen[SUM] = watch.of(SUM)
    return Released(models, seen)


def _tuned(bench: Bench, strategy: str, sources: Sequence[str], pool: Pool) -> list[State]:
    """Tune what the sources learnt at every site; what comes back is what the strategy returns, laid over what came."""
    what, training = STRATEGIES[strategy], bench.federation.tuning
    came = bench.taught(sources)
    models = [bench.model(came, training.dropout) for _ in pool.trained]
    stages = bench.stages(pool, purpose_of(strategy), training, what.pulled)
    steps = STRATEGIES[what.half_of].steps if what.half_of else what.steps
    bench.trainer.tune(models, stages, steps)
    if what.half_of:
        start = bench.model(came)
        return [half_way(start, model) for model in models]
    return [snapshot(model) for model in models]


class Watch:
    """Adds up what the coordinator sees of the site's own answers, and of the sums over all sources."""

    def __init__(self, scorer: Scorer, models: int) -> None:
        self.scorer, self.rounds = scorer, np.zeros((models, 1))
        self.margins, self.losses = (
            {who: np.zeros((models, scorer.count)) for who in (COORDINATOR, SUM)} for _ in range(2)
        )

    def note(self, crossed: Round) -> None:
        """Take down a round."""
        for place, k in enumerate(crossed.running):
            self.rounds[k] += 1
            before = losses(self.scorer.margins(crossed.came[place]))
            for who, states in ((COORDINATOR, crossed.answered), (SUM, crossed.joined)):
                margins = self.scorer.margins(states[place])
                self.margins[who][k] += margins
                self.losses[who][k] += losses(margins) - before

    def of(self, who: str) -> Seen:
        """Give what a party has seen."""
        return Seen(self.margins[who] / self.rounds, self.losses[who])
