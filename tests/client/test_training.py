"""Training at a site: few coordinates against many, batches, epochs, the best kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.compact import CompactCNN, basis_of
from client.training import Encounters, Stage, batches, snapshot, train, train_round, validation_auroc
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING

ROWS, DIMENSION, LENGTH = 14, 40, 6
SHAPE = ModelShape(filters=8)


def training(**changes: object) -> Training:
    fields: dict[str, object] = {"rounds": 1, "epochs": 3, "batch_size": 16, "optimiser": "sgd"}
    fields |= {"learning_rate": 0.05, "weight_decay": 0.05}
    return Training.model_validate(fields | changes)


def make(seed: int = 0, count: int = 90, dimension: int = DIMENSION) -> tuple[ConceptCNN, Encounters]:
    """A model, and encounters whose label follows one token."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.cat([torch.zeros(1, dimension), torch.randn(ROWS - 1, dimension, generator=generator)])
    table[3] = table[2]  # two words with one vector, as synonyms may have
    model = ConceptCNN(table, SHAPE)
    model.load_state_dict(initial_weights(dimension, SHAPE, seed))
    tokens = torch.stack([torch.randperm(ROWS, generator=generator)[:LENGTH] for _ in range(count)]).int()
    return model, Encounters(tokens, ((tokens == 5).any(1) | (tokens == 1).all(1)).long())


def stage(data: Encounters, chosen: Training, **changes: object) -> Stage:
    return Stage(data, data, chosen, EVERYTHING, seed_of=lambda number: number, **changes)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    momentum=st.sampled_from([0.0, 0.9]),
    decay=st.sampled_from([0.0, 0.05]),
    mu=st.sampled_from([0.0, 0.3]),
)
def test_few_coordinates_learn_what_many_do(seed: int, momentum: float, decay: float, mu: float) -> None:
    chosen = training(momentum=momentum, weight_decay=decay)
    ended = []
    for compact in (True, False):
        model, data = make(seed)
        basis = basis_of(model.table) if compact else None
        train_round(model, stage(data, chosen, basis=basis, proximal_mu=mu), 1)
        ended.append(torch.cat([value.flatten() for value in model.state_dict().values()]))
    torch.testing.assert_close(ended[0], ended[1], atol=2e-5, rtol=1e-4)


def test_few_coordinates_are_used_where_they_are_fewer_and_right() -> None:
    assert basis_of(torch.randn(20, 20)) is None
    wide, _ = make()
    basis = basis_of(wide.table)
    assert basis is not None
    assert basis.shape == (DIMENSION, ROWS - 1)
    compact = CompactCNN(wide, basis)
    tokens = torch.arange(ROWS)[None]
    torch.testing.assert_close(compact(tokens), wide(tokens))
    before = snapshot(wide)
    compact.widen_into(wide)
    for name, value in wide.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=1e-6)


def test_adam_is_not_compacted() -> None:
    ended = []
    for compact in (True, False):
        model, data = make()
        basis = basis_of(model.table) if compact else None
        train_round(model, stage(data, training(optimiser="adam"), basis=basis), 1)
        ended.append(model.conv.weight.detach().clone())
    assert torch.equal(ended[0], ended[1])


@given(count=st.integers(1, 60), size=st.integers(1, 20), wanted=st.integers(1, 9))
def test_batches_visit_every_encounter_alike(count: int, size: int, wanted: int) -> None:
    stream = batches(count, training(batches=wanted, batch_size=size), torch.Generator().manual_seed(1))
    drawn = [next(stream) for _ in range(4)]
    assert all(len(epoch) == wanted for epoch in drawn)
    assert {len(batch) for epoch in drawn for batch in epoch} == {min(size, count)}
    seen = torch.bincount(torch.cat([batch for epoch in drawn for batch in epoch]), minlength=count)
    passes = -(-4 * wanted // (count // min(size, count)))  # a pass visits each encounter at most once
    assert int(seen.max()) <= passes


@given(count=st.integers(1, 60), size=st.integers(1, 20))
def test_all_is_one_pass(count: int, size: int) -> None:
    epoch = next(batches(count, training(batch_size=size), torch.Generator().manual_seed(1)))
    assert sorted(torch.cat(epoch).tolist()) == list(range(count))


def test_the_best_epoch_is_kept_and_patience_ends_training() -> None:
    model, data = make()
    seen: list[float | None] = []
    plain, _ = make()
    train_round(plain, stage(data, training(epochs=12)), 1, lambda: bool(seen.append(validation_auroc(plain, data))))
    train(model, stage(data, training(epochs=12)))
    assert validation_auroc(model, data) == max(score for score in seen if score is not None)
    first = next(index for index, score in enumerate(seen) if score == max(s for s in seen if s is not None))
    patient, _ = make()
    train(patient, stage(data, training(epochs=1000, patience=12 - first)))
    for name, value in patient.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_learning_happens() -> None:
    model, data = make(count=400)
    before = validation_auroc(model, data)
    train(model, stage(data, training(epochs=30)))
    after = validation_auroc(model, data)
    assert before is not None
    assert after is not None
    assert after > max(0.95, before)


@pytest.mark.parametrize("kernel", [2, 3])
def test_wider_kernels_train_too(kernel: int) -> None:
    shape = ModelShape(filters=4, kernel=kernel)
    wide, data = make()
    model = ConceptCNN(wide.table, shape)
    before = model.conv.weight.detach().clone()
    train_round(model, stage(data, training(), basis=basis_of(model.table)), 1)
    assert not torch.equal(model.conv.weight, before)
