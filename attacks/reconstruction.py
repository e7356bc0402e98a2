"""The figures of reconstruction: what changes of weights give away of the encounters behind them, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor

from attacks.bench import Bench
from attacks.judging import estimate, power
from attacks.measures import Row, counts_of, figures_of, named
from attacks.methods import tokens
from attacks.methods.past import Past
from attacks.pool import Pool
from attacks.released import COORDINATOR, SUM
from attacks.updates import Update, updates
from client.training import State
from common.metrics import Floats
from common.model import NO_TOKEN
from common.seeds import derive
from common.strategies import CNN, STRATEGIES

MOST = 32  # changes of each kind
ROUND = "round"  # all that a message asks for


def reconstruction(bench: Bench, strategy: str, sources: Sequence[str], pool: Pool, batch: int | None) -> Iterator[Row]:
    """Judge the attack on changes after one batch of a size, or after all that a message asks for."""
    few = replace(pool, trained=pool.trained[:MOST], held=pool.held[:MOST])
    found = updates(bench, strategy, sources, few, batch)
    own = _rows(bench.population.table)
    shares = _shares(bench, len(own))
    head = CNN not in STRATEGIES[strategy].tuned and bench.name not in sources
    attack = partial(_from_head, bench.federation.tuning.dropout) if head else tokens.from_everything
    table = tokens.Table(own, own[:0])
    seen = [attack(table, each.came, each.answered, each.pasts) for each in found]
    row = _judged(bench, found, seen, shares, COORDINATOR, batch)
    yield row | (_encounters(bench, table, found, seen, shares) if batch == 1 else {})
    if found[0].joined is not None:
        others = [_rows(bench.prepared(name).table) for name in sources if name != bench.name]
        table = tokens.Table(own, np.concatenate(others)[1:])
        seen = [
            attack(table, each.came, each.joined, _of_mean(each.pasts, len(sources))) for each in found if each.joined
        ]
        yield _judged(bench, found, seen, shares, SUM, batch)


def _from_head(
    dropout: float, table: tokens.Table, came: State, answered: State, pasts: Sequence[Past]
) -> tokens.Finding:
    return tokens.from_head(table, came, answered, pasts, dropout)


def _of_mean(pasts: Sequence[Past], sources: int) -> list[Past]:
    """Give the pasts of the mean over sources that have as many encounters each, and noise of their own."""
    return [replace(past, spread=past.spread / sources**0.5) for past in pasts]


def _judged(
    bench: Bench, found: Sequence[Update], seen: Sequence[tokens.Finding], shares: Floats, who: str, batch: int | None
) -> Row:
    """Judge which tokens a change was said to hold, of all that some encounter of the site's file has."""
    truth = np.stack([np.isin(np.arange(len(shares)), each.rows) for each in found])
    sure = np.stack([each.seen for each in seen])
    scores = np.stack([tokens.scores(each, shares) for each in seen])
    plain = np.broadcast_to(shares, scores.shape)
    counted, seed = np.ones(truth.shape, dtype=bool), derive(bench.seed, "judging")
    counted[:, NO_TOKEN], counted[:, shares == 0] = False, False
    with_change, without = (power(each, truth, counted, seed) for each in (scores, plain))
    hits, said, there = int((sure & truth).sum()), int(sure.sum()), int((truth & counted).sum())
    return {
        "seen_by": who,
        "attack": "tokens",
        "detail": ROUND if batch is None else str(batch),
        **figures_of(with_change),
        "baseline_auc": without.auc[0],
        "baseline_tpr": without.tpr[0],
        **named("advantage", estimate(with_change.auc - without.auc)),
        "precision": hits / said if said else float("nan"),
        "recall": hits / there,
        **counts_of(truth, counted),
    }


def _encounters(
    bench: Bench, table: tokens.Table, found: Sequence[Update], seen: Sequence[tokens.Finding], shares: Floats
) -> Row:
    """Say how much of a single encounter is put together rightly, and how much is without the change."""
    columns = [np.unique(own) for own in bench.population.encounters.tokens.numpy().T]
    right, plain = [], []
    for update, own in zip(found, seen, strict=True):
        projected, true = table.projected(update.came), update.rows[0]
        nothing = tokens.Finding(np.zeros(len(projected), dtype=bool), np.full(projected.shape[1], np.nan))
        right.append(np.mean(tokens.encounter(own, projected, columns, shares) == true))
        plain.append(np.mean(tokens.encounter(nothing, projected, columns, shares) == true))
    return {"right": float(np.mean(right)), "baseline_right": float(np.mean(plain))}


def _shares(bench: Bench, rows: int) -> Floats:
    """Give how many of the population's encounters have each row, float64 (V,)."""
    tokens_of = bench.population.encounters.tokens.numpy()
    return np.bincount(tokens_of.ravel(), minlength=rows) / len(tokens_of)


def _rows(table: Tensor) -> Floats:
    return table.numpy().astype(np.float64)
