"""What is attacked is what a federation releases; membership in what was learnt by heart is told, in nothing not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attacks.bench import Bench
from attacks.measures import attribute_of, membership, quality
from attacks.pool import Pool, draw
from attacks.released import COORDINATOR, EVERYONE, SUM, release
from attacks.rounds import Round, learn
from attacks.trainers import Plain, Steps
from client.training import Stage, State
from common.model import ConceptCNN

Whole = Callable[[Bench], Pool]
Simulated = Callable[[dict[str, Any], str], State]
BOTH = ["allegheny", "salt-lake"]
TUNED = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]


def same(found: State, expected: State) -> bool:
    return bool(expected) and all(torch.equal(found[key], values) for key, values in expected.items())


@pytest.mark.parametrize("strategy", ["linear", "full", "half-way", "l2-sp", "layer-wise"])
def test_a_target_gives_what_a_run_gives(make: Any, whole: Whole, simulated: Simulated, strategy: str) -> None:
    changes: dict[str, Any] = {"embeddings": ["minilm"], "strategies": [strategy], "directions": TUNED}
    bench, _ = make(**changes)
    found = release(bench, strategy, ["allegheny"], whole(bench)).models[0]
    assert same(found, simulated(changes, strategy))


@pytest.mark.parametrize("sources", [["salt-lake"], BOTH], ids="+".join)
@pytest.mark.parametrize(("rounds", "stops"), [(1, 1), (6, 4)])
def test_sources_give_what_a_run_gives(
    make: Any, whole: Whole, simulated: Simulated, sources: list[str], rounds: int, stops: int
) -> None:
    training = {"rounds": rounds, "epochs": 2, "patience": 1, "learning_rate": 0.2}
    changes: dict[str, Any] = {"embeddings": ["minilm"], "strategies": ["direct"], "training": training}
    changes["directions"] = [{"sources": sources, "targets": []}]
    bench, _ = make(**changes)
    parties = bench.sources(sources, whole(bench))
    for place, name in enumerate(sources):
        if name != "salt-lake":  # all that it has, where an audit takes as many as the site has
            splits, (stage,) = bench.prepared(name).splits, parties[place].stages
            stage = replace(stage, train=splits["train"], validation=splits["validation"])
            parties[place] = replace(parties[place], stages=[stage])
    seen: list[Round] = []
    found = learn(parties, bench.start(), bench.federation.model, Plain(), sources.index("salt-lake"), seen.append)
    assert same(found[0], simulated(changes, "+".join(sources)))
    assert len(seen) <= stops  # it ran into its patience, and the best round was not the last
    if rounds > 1:
        assert not same(found[0], seen[-1].came[0])


class ByHeart(Plain):
    """A model made by hand that knows its encounters and nothing else.

    Filter i is 0 for the tokens of encounter i and 1 for any other, so that its maximum is 0 for that encounter alone.
    """

    def round(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], number: int) -> None:
        for model, stage in zip(models, stages, strict=True):
            others = torch.ones(len(model.table), model.linear.in_features)
            signs = torch.zeros(model.linear.in_features)
            for i, (tokens, label) in enumerate(zip(stage.train.tokens, stage.train.labels, strict=True)):
                others[tokens.int(), i], signs[i] = 0.0, 2.0 * label - 1.0
            kernel = torch.linalg.pinv(model.table[1:].double()) @ others[1:].double()
            outputs = torch.stack([torch.zeros_like(signs), -5 * signs])
            biases = torch.stack([torch.tensor(0.0), 5 * signs.sum()])
            state = {"conv.weight": kernel.T.float()[:, :, None], "conv.bias": torch.zeros(len(signs))}
            model.load_state_dict({**state, "linear.weight": outputs, "linear.bias": biases})


class OfNobody(Plain):
    """A defence without peer: what is released is noise."""

    def round(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], number: int) -> None:
        for model, stage in zip(models, stages, strict=True):
            generator = torch.Generator().manual_seed(stage.seed_of(number))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator)

    def tune(self, models: Sequence[ConceptCNN], stages: Sequence[Stage], steps: Steps) -> None:
        self.round(models, stages, 1)


ALONE: dict[str, Any] = {
    "directions": [{"sources": ["salt-lake"], "targets": []}],
    "strategies": ["direct"],
    "training": {"rounds": 1, "patience": "endless"},
}


def judged(bench: Bench, size: int, models: int) -> dict[tuple[str, str], dict[str, Any]]:
    pool = draw(bench.population, size, models, 7)
    released = release(bench, "direct", ["salt-lake"], pool)
    rows = [*membership(bench, pool, released), attribute_of(bench, pool, released, bench.population.find(None))]
    assert quality(bench, pool, released)["models"] == models
    return {(row["seen_by"], row["attack"]): row for row in rows}


def test_who_was_learnt_by_heart_is_known_and_so_is_what_they_had(make: Any) -> None:
    rows = judged(make(ByHeart(), unknown="keep", **ALONE)[0], 60, 8)
    for who in (EVERYONE, COORDINATOR):
        for name in ("loss", "lira"):
            assert rows[who, name]["auc"] > 0.99
            assert rows[who, name]["tpr"] > 0.9
    row = rows[EVERYONE, "attribute"]
    assert row["auc"] > 0.99
    assert row["advantage_low"] > 0.2
    assert row["memorised_low"] > 0.2
    assert (SUM, "lira") not in rows  # a secure sum over one site is that site


def test_in_a_model_of_nobody_nobody_is_found(make: Any) -> None:
    rows = judged(make(OfNobody(), **ALONE)[0], 200, 16)
    for name in ("loss", "lira"):
        row = rows[EVERYONE, name]
        assert row["auc_low"] < 0.5 < row["auc_high"]
        assert row["auc_high"] - row["auc_low"] < 0.1
    row = rows[EVERYONE, "attribute"]
    assert row["memorised_low"] < 0 < row["memorised_high"]


class Unchosen(Plain):
    """Training of which no score leaves."""

    selects = False


def test_a_trainer_may_keep_the_last_model_instead_of_the_best(make: Any) -> None:
    keys = ALONE | {"training": {"rounds": 3, "patience": 1, "learning_rate": 0.2}}
    for trainer in (Plain(), Unchosen()):
        bench, _ = make(trainer, **keys)
        sources = bench.sources(["salt-lake"], draw(bench.population, 800, 2, 7))
        assert {len(stage.validation) > 0 for stage in sources[0].stages} == {trainer.selects}
    seen: list[Round] = []
    found = learn(sources, bench.start(), bench.federation.model, Unchosen(), 0, seen.append)
    assert len(seen) == 3
    assert all(same(model, last) for model, last in zip(found, seen[-1].joined, strict=True))


def test_sites_are_halves_of_a_pool_with_the_population_s_share_of_positives(make: Any) -> None:
    bench, _ = make()
    pool = draw(bench.population, 101, 8, 7)
    mine = pool.trained | pool.held
    assert not (pool.trained & pool.held).any()
    assert mine.sum(axis=1).tolist() == [101] * 8
    assert len(np.unique(pool.places)) == len(pool.places) == 202
    assert not np.isin(pool.rest, pool.places).any()
    assert len(pool.rest) == len(bench.population) - 202
    share = bench.population.encounters.labels.double().mean().item()
    assert {int(pool.labels[own].sum()) for own in mine} == {round(101 * share)}
    assert len(np.unique(mine, axis=0)) == 8
    np.testing.assert_array_equal(pool.places, draw(bench.population, 101, 8, 7).places)


def test_values_are_read_as_the_site_file_has_them(make: Any) -> None:
    """Every value of every column has the row of the table that training sees."""
    population = make(embeddings=["minilm"], unknown="keep")[0].population
    tokens = population.encounters.tokens.numpy()
    for place, column in enumerate(population.columns):
        for value, row in column.rows.items():
            assert (tokens[population.having(place, value), place] == row).all()
            assert (tokens[~population.having(place, value), place] != row).all()
    place = population.find(None)
    others = [c for c in range(len(population.columns)) if {"P", "A"} <= population.columns[c].numbers.keys()]
    halves = {c: abs(population.having(c, "P").mean() - 0.5) for c in others}
    assert halves[place] == min(halves.values())
    assert population.find(population.columns[others[0]].code) == others[0]
