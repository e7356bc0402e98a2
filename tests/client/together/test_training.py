"""Models that train together against the same models alone: the bits are the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.compact import basis_of
from client.together import train_steps_together, train_together
from client.training import Encounters, Stage, snapshot, train, train_steps
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.outcome import answers, told
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import CNN, EVERYTHING, LINEAR

Bench = tuple[list[ConceptCNN], list[Stage]]
SHAPE = ModelShape(filters=20)
SEEDS = [215, 401, 114514, 1, 2]


def named(count: int) -> tuple[str, ...]:
    return tuple(f"n{number}" for number in range(count))


TWO = ModelShape(filters=20, labels=named(2))
THREE, FIVE = ModelShape(filters=20, classes=named(3)), ModelShape(filters=20, labels=named(5))


def encounters(seed: int, count: int, shape: ModelShape = SHAPE, columns: int = 7, values: int = 3) -> Encounters:
    """Encounters whose columns have rows of their own, as concepts have, and some no token; labels follow some rows."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, values + 1, (count, columns), generator=generator)
    tokens = torch.where(drawn > 0, drawn + values * torch.arange(columns), 0)
    noise = torch.rand(count, generator=generator) < 0.2
    labels = ((tokens == 2).any(1) ^ (tokens == columns).any(1) ^ noise).long()
    if not shape.binary:
        rows = torch.stack([(tokens == 2 + q % (values * columns)).any(1) ^ noise for q in range(shape.outputs)], 1)
        labels = rows.long() if shape.labels else rows.long().argmax(1)
    return Encounters(tokens.to(torch.uint8), labels)


def bench(
    changes: dict[str, Any] | None = None,
    sizes: tuple[int, ...] = (150,) * 3,
    tuned: tuple[str, ...] = EVERYTHING,
    dimension: int = 40,
    shape: ModelShape = SHAPE,
    few: bool = True,
    validated: int = 60,
    mu: float = 0.0,
    min_cell: int = 1,
) -> Bench:
    """A model and a stage for each size; every seed has its own weights, draws and encounters."""
    fields: dict[str, Any] = {"rounds": 1, "epochs": 1, "batches": 100, "batch_size": 16, "optimiser": "sgd"}
    fields |= {"learning_rate": 0.05, "weight_decay": 0.01}
    chosen = Training.model_validate(fields | (changes or {}))
    table = torch.cat(
        [torch.zeros(1, dimension), torch.randn(21, dimension, generator=torch.Generator().manual_seed(9))]
    )
    table[8] = table[2]  # two tokens with one vector, as synonyms may have: equal projections at every step
    basis = basis_of(table) if few else None
    models, stages = [], []
    for seed, size in zip(SEEDS, sizes, strict=False):
        model = ConceptCNN(table, shape, chosen.dropout)
        model.load_state_dict(initial_weights(dimension, shape, seed))
        models.append(model)
        draws = partial(derive, seed, "train")
        data = encounters(seed, size, shape), encounters(3, validated, shape)
        stages.append(Stage(*data, chosen, tuned, draws, mu, basis, min_cell))
    return models, stages


def assert_same(ours: list[ConceptCNN], alone: list[ConceptCNN]) -> None:
    for one, other in zip(ours, alone, strict=True):
        for name, value in other.state_dict().items():
            assert torch.equal(one.state_dict()[name], value), name


def check(*arguments: Any, **options: Any) -> None:
    """Train one bench together and its like alone."""
    (ours, stages), (alone, _), (untrained, _) = (bench(*arguments, **options) for _ in range(3))
    train_together(ours, stages)
    for model, stage in zip(alone, stages, strict=True):
        train(model, stage)
    assert_same(ours, alone)
    for model, before in zip(ours, untrained, strict=True):
        assert any(not torch.equal(value, before.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,), (CNN,)], ids="+".join)
@pytest.mark.parametrize("few", [True, False])
def test_a_hundred_steps(tuned: tuple[str, ...], few: bool) -> None:
    check(sizes=(150,) * 5, tuned=tuned, few=few)


@pytest.mark.parametrize("shape", [THREE, FIVE], ids=["classes", "labels"])
@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,), (CNN,)], ids="+".join)
@pytest.mark.parametrize(
    "changes", [{}, {"batches": "all", "epochs": 4}, {"optimiser": "adam", "learning_rate": 0.01}], ids=str
)
def test_several_classes_or_labels(shape: ModelShape, tuned: tuple[str, ...], changes: dict[str, Any]) -> None:
    check({"batches": 30, **changes}, sizes=(150, 150), tuned=tuned, shape=shape, mu=0.1 if "epochs" in changes else 0)


@pytest.mark.parametrize("filters", [1, 6])
@pytest.mark.parametrize("size", [1, 2])
def test_many_classes_and_few_filters_in_small_batches(filters: int, size: int) -> None:
    """Sums of more than two products, where an array's place in memory or the way round of a product shows."""
    check({"batch_size": size}, shape=ModelShape(filters=filters, classes=named(13)), dimension=3)


@pytest.mark.parametrize("shape", [THREE, FIVE], ids=["classes", "labels"])
@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,)], ids="+".join)
def test_the_best_has_the_highest_mean_over_classes_that_are_not_of_few(
    shape: ModelShape, tuned: tuple[str, ...]
) -> None:
    changes = {"epochs": 15, "batches": 5, "patience": 4, "learning_rate": 0.2}
    yes = answers(shape, encounters(3, 60, shape).labels.numpy())
    most = int(np.minimum(yes.sum(0), (1 - yes).sum(0)).max())
    assert 1 <= len(told(yes, most)) < shape.outputs == len(told(yes, 1))
    kept = []
    for min_cell in (1, most, most + 1):  # all are asked for, some, none
        check(changes, sizes=(150,) * 3, tuned=tuned, shape=shape, min_cell=min_cell)
        ours, stages = bench(changes, sizes=(150,) * 3, tuned=tuned, shape=shape, min_cell=min_cell)
        train_together(ours, stages)
        kept.append(ours)
    for one, other in combinations(kept, 2):
        assert any(not torch.equal(a.linear.weight, b.linear.weight) for a, b in zip(one, other, strict=True))


def test_models_of_two_classes_and_of_two_labels_do_not_go_together() -> None:
    def mixed() -> Bench:
        benches = [bench({"batches": 20}, shape=shape, few=False) for shape in (SHAPE, TWO)]
        return [model for models, _ in benches for model in models], [stage for _, some in benches for stage in some]

    (ours, stages), (alone, _) = mixed(), mixed()
    train_together(ours, stages)
    for model, stage in zip(alone, stages, strict=True):
        train(model, stage)
    assert_same(ours, alone)


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.0, "weight_decay": 0.0},
        {"dropout": 0.0},
        {"dropout": 0.3},  # a share that is kept which is no power of two
        {"batches": "all", "epochs": 4},  # 150 encounters: the last batch has 6
        {"batches": "all", "batch_size": 149, "epochs": 5},  # and one encounter
        {"batches": 60, "epochs": 2},  # more than the steps that are drawn at once
        {"rounds": 3, "epochs": 2},
        {"rounds": 3, "batches": "all", "patience": 1},
        {"optimiser": "adam", "learning_rate": 0.01},
    ],
    ids=str,
)
def test_ways_of_training(changes: dict[str, Any]) -> None:
    for tuned in (EVERYTHING, (LINEAR,)):
        check({"batches": 20, **changes}, sizes=(150, 150), tuned=tuned)


@pytest.mark.parametrize(
    ("tuned", "few"), [(EVERYTHING, True), (EVERYTHING, False), ((CNN,), True), ((LINEAR,), False)]
)
def test_pulled_towards_the_model_that_came(tuned: tuple[str, ...], few: bool) -> None:
    check({"rounds": 2, "batches": 20}, sizes=(150, 150), tuned=tuned, few=few, mu=0.37)


@pytest.mark.parametrize("changes", [{"rounds": 1, "epochs": 30}, {"rounds": 30, "epochs": 1}], ids=str)
@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,)], ids="+".join)
def test_each_stops_by_itself_with_its_best(
    changes: dict[str, Any], tuned: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates: Counter[int] = Counter()

    def counted(model: ConceptCNN) -> dict[str, torch.Tensor]:
        candidates[id(model)] += 1
        return snapshot(model)

    monkeypatch.setattr("client.together.training.snapshot", counted)
    check({**changes, "batches": 5, "patience": 4}, sizes=(150,) * 5, tuned=tuned)
    assert len(set(candidates.values())) > 2
    assert max(candidates.values()) < 30


@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,)], ids="+".join)
def test_numbers_of_encounters_may_differ(tuned: tuple[str, ...]) -> None:
    check({"batches": 20}, sizes=(9, 100, 12, 700, 17), tuned=tuned)
    check({"batches": "all"}, sizes=(40, 41, 40, 32, 200), tuned=tuned)


def test_without_validation_the_last_is_kept() -> None:
    check({"epochs": 3, "batches": 20}, validated=0)


def test_any_company_gives_the_same_bits() -> None:
    (five, stages), (two, _) = (bench({"batches": 20}, sizes=(150,) * 5) for _ in range(2))
    train_together(five, stages)
    train_together([two[3], two[1]], [stages[3], stages[1]])
    assert_same([two[3], two[1]], [five[3], five[1]])


def test_what_cannot_go_together_is_trained_all_the_same() -> None:
    check({"batches": 10}, shape=ModelShape(filters=4, kernel=2))
    (ours, stages), (alone, _) = bench({"batches": 10}), bench({"batches": 10})
    anywhere = [Encounters(s.train.tokens.flip(1).roll(k, 1), s.train.labels) for k, s in enumerate(stages)]
    mixed = [replace(stage, train=own, tuned=EVERYTHING) for stage, own in zip(stages, anywhere, strict=True)]
    mixed[1] = replace(mixed[1], tuned=(LINEAR,))
    train_together(ours, mixed)
    for model, stage in zip(alone, mixed, strict=True):
        train(model, stage)
    assert_same(ours, alone)


@pytest.mark.parametrize("tuned", [EVERYTHING, (LINEAR,)], ids="+".join)
def test_every_model_has_its_own_table(tuned: tuple[str, ...]) -> None:
    (ours, stages), (alone, _) = (bench({"batches": 20}, sizes=(150, 150), tuned=tuned) for _ in range(2))
    for model in (ours[1], alone[1]):
        model.table = model.table.flip(1).contiguous()
    train_together(ours, stages)
    for model, stage in zip(alone, stages, strict=True):
        train(model, stage)
    assert_same(ours, alone)


def test_an_encounter_without_tokens() -> None:
    (ours, stages), (alone, _) = bench({"batches": 20}), bench({"batches": 20})
    for stage in stages:
        stage.train.tokens[::3] = 0
    train_together(ours, stages)
    for model, stage in zip(alone, stages, strict=True):
        train(model, stage)
    assert_same(ours, alone)


def test_steps_draw_as_they_do_alone() -> None:
    (ours, stages), (alone, _) = bench({"batches": 20}), bench({"batches": 20})
    steps = [(LINEAR,), EVERYTHING]
    train_steps_together(ours, stages, steps)
    for model, stage in zip(alone, stages, strict=True):
        train_steps(model, stage, steps)
    assert_same(ours, alone)


def test_what_diverges_ends_as_it_does_alone() -> None:
    check({"learning_rate": 10.0, "dropout": 0.0, "epochs": 4, "batches": 10}, sizes=(150, 150))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5).map(tuple),
    filters=st.integers(1, 40),
    dimension=st.sampled_from([3, 16, 17, 40, 130]),
    batch_size=st.integers(1, 40),
    batches=st.sampled_from(["all", 7]),
    dropout=st.sampled_from([0.0, 0.2, 0.5]),
    tuned=st.sampled_from([EVERYTHING, (LINEAR,), (CNN,)]),
    mu=st.sampled_from([0.0, 0.1]),
    of=st.one_of(
        st.just({}),
        st.integers(2, 40).map(lambda count: {"classes": named(count)}),
        st.integers(2, 40).map(lambda count: {"labels": named(count)}),
    ),
)
def test_any_shape(
    filters: int, batch_size: int, batches: object, dropout: float, of: dict[str, Any], **options: Any
) -> None:
    changes = {"epochs": 2, "batch_size": batch_size, "batches": batches, "dropout": dropout}
    shape = ModelShape(filters=filters, **of)
    (ours, stages), (alone, _) = (bench(changes, shape=shape, validated=0, **options) for _ in range(2))
    train_together(ours, stages)
    for model, stage in zip(alone, stages, strict=True):
        train(model, stage)
    assert_same(ours, alone)
