"""Reconstruction: the tokens that won, exactly; of one encounter under many filters, all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attacks.methods.past import Past
from attacks.methods.tokens import Table, encounter, from_everything, from_head
from client.compact import basis_of
from client.privacy.randomness import Randomness
from client.privacy.training import Guard
from client.training import Encounters, Stage, snapshot, train_round
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import EVERYTHING, LINEAR

COLUMNS, VALUES = 9, 2
V = 1 + COLUMNS * VALUES
TRAINING = Training(rounds=1, epochs=1, batches=1, batch_size=1, optimiser="sgd", learning_rate=0.01, weight_decay=1e-3)


def table(dimension: int) -> torch.Tensor:
    rows = torch.randn(V - 1, dimension, generator=torch.Generator().manual_seed(3))
    return torch.cat([torch.zeros(1, dimension), rows])


def drawn(seed: int, count: int) -> Encounters:
    """Each column has one of its two tokens, or none."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, VALUES + 1, (count, COLUMNS), generator=generator)
    tokens = torch.where(values > 0, values + VALUES * torch.arange(COLUMNS), 0)
    return Encounters(tokens.to(torch.uint8), torch.randint(0, 2, (count,), generator=generator))


def stepped(
    seed: int,
    batch: Encounters,
    filters: int = 30,
    tuned: tuple[str, ...] = EVERYTHING,
    dimension: int = 25,
    **keys: Any,
) -> tuple[ConceptCNN, dict[str, torch.Tensor], dict[str, torch.Tensor], Training]:
    """Take a site's steps on a batch; give model and weights before and after."""
    training = TRAINING.model_copy(update={"batch_size": len(batch)} | keys)
    model = ConceptCNN(table(dimension), ModelShape(filters=filters), training.dropout)
    model.load_state_dict(initial_weights(dimension, ModelShape(filters=filters), seed))
    before = snapshot(model)
    basis = basis_of(model.table)
    train_round(model, Stage(batch, batch.first(0), training, tuned, lambda n: derive(seed, n), basis=basis), 1)
    return model, before, snapshot(model), training


def winners(
    before: dict[str, torch.Tensor], batch: Encounters, seed: int, training: Training, dimension: int
) -> set[int]:
    """Look up, encounter by encounter and filter by filter, which tokens' gradient is not zero."""
    rows = table(dimension) @ before["conv.weight"][:, :, 0].T + before["conv.bias"]
    generator = torch.Generator().manual_seed(derive(seed, 1))
    order = torch.randperm(len(batch), generator=generator)
    keep = torch.rand((len(batch), rows.shape[1]), generator=generator) >= training.dropout
    found = set()
    for place, each in enumerate(batch.tokens[order]):
        own = each[each > 0].int()
        if len(own):
            best = rows[own].max(0)
            found |= set(own[best.indices[keep[place] & (best.values > 0)]].tolist())
    return found


@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from([V - 2, 25, 60]), st.sampled_from([0.0, 0.5]))
def test_the_tokens_that_won_are_seen_and_no_others(seed: int, count: int, dimension: int, dropout: float) -> None:
    """V - 2 is the fewest: with the bias, rows of so many numbers are independent."""
    batch = drawn(seed, count)
    model, before, after, training = stepped(seed, batch, dimension=dimension, dropout=dropout)
    won = winners(before, batch, seed, training, dimension)
    rows = model.table.double().numpy()
    found = from_everything(Table(rows, rows[:0]), before, after, [Past.of(training, 1)])
    assert set(np.flatnonzero(found.seen).tolist()) == won


@pytest.mark.parametrize("seed", range(5))
def test_one_encounter_under_many_filters_is_put_together_exactly(seed: int) -> None:
    batch = drawn(seed, 1)
    model, before, after, training = stepped(seed, batch, filters=800)
    attacked = Table(model.table.double().numpy(), np.empty((0, 25)))
    found = from_everything(attacked, before, after, [Past.of(training, 1)])
    columns = [np.array([0, 1 + 2 * column, 2 + 2 * column]) for column in range(COLUMNS)]
    guessed = encounter(found, attacked.projected(before), columns, np.full(V, 0.3))
    assert guessed.tolist() == batch.tokens[0].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_one_encounter_is_in_the_head_alone_as_well(seed: int) -> None:
    batch = drawn(seed, 1)
    model, before, after, training = stepped(seed, batch, filters=800, tuned=(LINEAR,))
    attacked = Table(model.table.double().numpy(), np.empty((0, 25)))
    found = from_head(attacked, before, after, [Past.of(training, 1)], training.dropout)
    kept = np.isfinite(found.height)
    assert 200 < kept.sum() < 600  # dropout hides half
    pooled = model.features(batch.tokens)[0].detach().numpy()
    np.testing.assert_allclose(found.height[kept], pooled[kept], atol=1e-5)
    assert set(np.flatnonzero(found.seen)) <= set(batch.tokens[0].tolist())
    columns = [np.array([0, 1 + 2 * column, 2 + 2 * column]) for column in range(COLUMNS)]
    guessed = encounter(found, attacked.projected(before), columns, np.full(V, 0.3))
    assert guessed.tolist() == batch.tokens[0].tolist()


def test_a_sum_over_sites_shows_their_tokens_together() -> None:
    one, other = drawn(1, 2), drawn(2, 2)
    _, before, first, training = stepped(7, one)
    _, _, second, _ = stepped(7, other)
    joined = {name: ((first[name].double() + second[name].double()) / 2).float() for name in first}
    rows = table(25).double().numpy()
    found = from_everything(Table(rows, rows[1:]), before, joined, [Past.of(training, 1)])
    won = [winners(before, each, 7, training, 25) for each in (one, other)]
    assert set(np.flatnonzero(found.seen).tolist()) == won[0] | won[1]
    assert won[0] != won[1]


def test_a_whole_round_shows_every_token_that_ever_won_and_none_that_nobody_has() -> None:
    batch = drawn(5, 40)
    nobody = [2, 9]
    batch.tokens[torch.isin(batch.tokens.int(), torch.tensor(nobody))] = 0
    model, before, after, training = stepped(3, batch, filters=100, epochs=3, batches=20, batch_size=8)
    rows = model.table.double().numpy()
    found = from_everything(Table(rows, rows[:0]), before, after, [Past.of(training, n) for n in (20, 40, 60)])
    assert set(np.flatnonzero(~found.seen).tolist()) == {0, *nobody}


def test_decay_is_what_the_optimiser_leaves() -> None:
    """A weight without gradient, by torch's own SGD."""
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.zeros(1, dtype=torch.float64)
    optimiser = torch.optim.SGD([weight], lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3)
    for _ in range(7):
        weight.grad.zero_()
        optimiser.step()
    assert Past.of(TRAINING, 7).decay == pytest.approx(weight.item(), rel=1e-12)


def test_where_there_is_noise_only_what_is_beyond_it_is_seen() -> None:
    """Of almost none, the tokens that won without; of very much, none: one token in ten thousand by chance."""
    counts = {1e-4: 0, 1e3: 0}
    for seed in range(40):
        batch = drawn(seed, 6)
        for noise in counts:
            model = ConceptCNN(table(25), ModelShape(filters=30), 0.0)
            model.load_state_dict(initial_weights(25, ModelShape(filters=30), seed))
            attacked, before = Table(table(25).double().numpy(), np.empty((0, 25))), snapshot(model)
            training = TRAINING.model_copy(update={"batch_size": 6, "batches": 3})
            guard = Guard(1.0, noise, Randomness(bytes([seed]) * 32))
            stage = Stage(batch, batch.first(0), training, EVERYTHING, int, basis=basis_of(model.table), guard=guard)
            train_round(model, stage, 1)
            seen = from_everything(attacked, before, snapshot(model), [Past.of(training, 3, noise / 6)]).seen
            if noise < 1:
                won = from_everything(attacked, before, _exact(seed, batch, training), [Past.of(training, 3)]).seen
                counts[noise] += int((seen != won).sum())
            else:
                counts[noise] += int(seen.sum())
    assert counts[1e-4] <= 8  # of 720: what won a filter by little noise hides
    assert counts[1e3] <= 2


def _exact(seed: int, batch: Encounters, training: Training) -> dict[str, torch.Tensor]:
    """The same steps without noise."""
    model = ConceptCNN(table(25), ModelShape(filters=30), 0.0)
    model.load_state_dict(initial_weights(25, ModelShape(filters=30), seed))
    stage = Stage(batch, batch.first(0), training, EVERYTHING, int, basis=basis_of(model.table), guard=Guard(1.0, 0.0))
    train_round(model, stage, 1)
    return snapshot(model)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_spread_is_that_of_noise_in_every_gradient(momentum: float) -> None:
    training = TRAINING.model_copy(update={"momentum": momentum, "learning_rate": 0.1, "weight_decay": 0.02})
    generator = torch.Generator().manual_seed(1)
    weights = torch.nn.Parameter(torch.zeros(200_000, dtype=torch.float64))
    optimiser = torch.optim.SGD([weights], lr=0.1, momentum=momentum, nesterov=momentum > 0, weight_decay=0.02)
    for _ in range(12):
        weights.grad = 0.3 * torch.randn(200_000, dtype=torch.float64, generator=generator)
        optimiser.step()
    assert Past.of(training, 12, 0.3).spread == pytest.approx(weights.std().item(), rel=0.01)
    assert Past.of(training, 12).spread == 0
