"""The figures of one case: every attack on what leaves, judged, as rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from attacks.bench import Bench
from attacks.judging import Power, estimate, power
from attacks.methods import attribute, lira, loss
from attacks.pool import Pool, some
from attacks.population import Bools
from attacks.released import EVERYONE, Released, Scorer
from client.scores import trainable
from common.concepts import ABSENT, PRESENT
from common.metrics import Estimate, Floats, auroc
from common.seeds import derive

Row = dict[str, Any]


def membership(bench: Bench, pool: Pool, released: Released) -> Iterator[Row]:
    """Judge both membership attacks for everyone who sees something; encounters that validate count as neither."""
    counted, seed = ~pool.held, derive(bench.seed, "judging")
    for who, seen in released.seen.items():
        attacks = {"loss": loss.scores(seen.losses), "lira": lira.scores(seen.margins, pool.trained, counted)}
        for name, scores in attacks.items():
            found = power(scores, pool.trained, counted, seed)
            yield {"seen_by": who, "attack": name, **figures_of(found), **counts_of(pool.trained, counted)}


def attribute_of(bench: Bench, pool: Pool, released: Released, place: int) -> Row:
    """Judge how well the final model gives away a finding of those it was learnt from.

    Beside it: guessing without the model, from how often the finding is present in the population, and the same attack
    on encounters that the model never saw.
    """
    population = bench.population
    having, lacking = (population.having(place, value) for value in (PRESENT, ABSENT))
    public, everyone = having | lacking, population.encounters.labels.numpy()
    present, known = having[pool.places], public[pool.places]
    margins = {value: _with_value(bench, pool, released, place, value) for value in (PRESENT, ABSENT)}
    scores = attribute.scores(margins[PRESENT], margins[ABSENT], attribute.share_of(having[public]))
    plain = attribute.without_model(pool.labels, everyone[public], having[public])
    truth, seed = np.broadcast_to(present, scores.shape), derive(bench.seed, "judging")
    strangers = ~(pool.trained | pool.held) & known
    members = pool.trained & known
    with_model = power(scores, truth, members, seed)
    without = power(np.broadcast_to(plain, scores.shape), truth, members, seed)
    others = power(scores, truth, strangers, seed)
    return {
        "seen_by": EVERYONE,
        "attack": "attribute",
        "detail": population.columns[place].code,
        **figures_of(with_model),
        "baseline_auc": without.auc[0],
        "baseline_tpr": without.tpr[0],
        **named("advantage", estimate(with_model.auc - without.auc)),
        **named("memorised", estimate(with_model.auc - others.auc)),
        **counts_of(truth, members),
    }


def quality(bench: Bench, pool: Pool, released: Released) -> Row:
    """Give the models' AUROC on encounters that they never saw, mean and standard deviation over models."""
    inside, outside = some(bench.population.encounters, pool.places), some(bench.population.encounters, pool.rest)
    labels = np.concatenate([inside.labels.numpy(), outside.labels.numpy()])
    parts = [Scorer(bench, each).all(released.models) for each in (inside, outside) if len(each)]
    scores = np.concatenate(parts, axis=1) * (2 * labels - 1)
    strange = np.ones(scores.shape, dtype=bool)
    strange[:, : len(pool.places)] = ~(pool.trained | pool.held)
    found = [auroc(labels[own], each[own]) for each, own in zip(scores, strange, strict=True)]
    policy = bench.sites[bench.name].policy
    refused = not trainable(pool.of_site(0, pool.trained), policy.min_cell, bench.federation.model)
    return {
        "auroc": float(np.mean(found)),
        "auroc_sd": float(np.std(found, ddof=1)),
        "models": len(found),
        "refused": refused,
    }


def _with_value(bench: Bench, pool: Pool, released: Released, place: int, value: str) -> Floats:
    """Give the margins (M, N) of the pool's encounters with a finding set to a value."""
    encounters = pool.encounters
    encounters.tokens[:, place] = bench.population.columns[place].rows[value]
    return Scorer(bench, encounters).all(released.models)


def figures_of(found: Power) -> Row:
    """Give AUC and true positive rate with their intervals."""
    return {**named("auc", estimate(found.auc)), **named("tpr", estimate(found.tpr))}


def named(name: str, figure: Estimate) -> Row:
    """Give a figure and its interval under its name."""
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def counts_of(positive: Bools, counted: Bools) -> Row:
    """Give how many pairs there are of each kind."""
    return {"positives": int((positive & counted).sum()), "negatives": int((~positive & counted).sum())}
