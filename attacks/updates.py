"""Changes of the weights that a site sends after one batch, or after all that one message asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attacks.bench import Bench, purpose_of
from attacks.methods.past import Past
from attacks.pool import Pool, some
from attacks.released import FEWEST
from attacks.rounds import Source, answers_of, mean_of
from client.training import Stage, State, snapshot
from common.strategies import STRATEGIES

OF = ("direct", "linear", "full")  # one training, and what it gives comes back as it is


@dataclass(frozen=True)
class Update:
    """One change.

    Attributes
    ----------
    answered : State
        What the site sends.
    joined : State or None
        The mean over the sources, where there are several.
    rows : ndarray
        Whole numbers (B, L), of the encounters that it was learnt from.
    pasts : list of Past
        How many steps it may have taken.
    """

    came: State
    answered: State
    joined: State | None
    rows: NDArray[np.integer]
    pasts: list[Past]


def updates(bench: Bench, strategy: str, sources: Sequence[str], pool: Pool, batch: int | None) -> list[Update]:
    """Give the change that each site of a pool sends.

    Parameters
    ----------
    batch : int or None
        Encounters of the one step that is taken; None for all that a message asks for.
    """
    direct = bench.name in sources
    if direct:
        parties = [_cut(source, batch) for source in bench.sources(sources, pool)]
        return list(_first_round(bench, parties, sources))
    came, training = bench.taught(sources), bench.federation.tuning
    stages = [_step(stage, batch) for stage in bench.stages(pool, purpose_of(strategy), training)]
    models = [bench.model(came, training.dropout) for _ in stages]
    bench.trainer.tune(models, stages, STRATEGIES[strategy].steps)
    pairs = zip(models, stages, strict=True)
    return [_update(bench, came, snapshot(model), None, stage) for model, stage in pairs]


def _update(bench: Bench, came: State, answered: State, joined: State | None, stage: Stage) -> Update:
    return Update(came, answered, joined, stage.train.tokens.numpy(), bench.trainer.pasts(stage))


def _first_round(bench: Bench, parties: Sequence[Source], names: Sequence[str]) -> Iterator[Update]:
    """Let every source answer the first round."""
    mine, start = list(names).index(bench.name), bench.start()
    shape, count = bench.federation.model, len(parties[mine].stages)
    everybody = [answers_of(each, [start] * count, range(count), shape, bench.trainer, 1) for each in parties]
    for k, stage in enumerate(parties[mine].stages):
        answers = [each[k] for each in everybody]
        joined = mean_of(parties, answers, k, bench.trainer) if len(parties) >= FEWEST else None
        yield _update(bench, start, answers[mine], joined, stage)


def _cut(source: Source, batch: int | None) -> Source:
    return replace(source, stages=[_step(stage, batch) for stage in source.stages])


def _step(stage: Stage, batch: int | None) -> Stage:
    """Give the stage of one step on a batch that is drawn from the stage's encounters, or the stage as it is."""
    if batch is None:
        return stage
    generator = np.random.default_rng(stage.seed_of(0))  # rounds count from 1
    chosen = generator.permutation(len(stage.train))[:batch]
    once = stage.training.model_copy(
        update={"rounds": 1, "epochs": 1, "batches": 1, "batch_size": batch, "patience": "endless"}
    )
    return replace(stage, train=some(stage.train, chosen), validation=stage.validation.first(0), training=once)
