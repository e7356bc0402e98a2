"""The projected table against Conv1d, and what a model's weights are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape


def make(rows: int, dimension: int, shape: ModelShape, seed: int = 0) -> ConceptCNN:
    generator = torch.Generator().manual_seed(seed)
    table = torch.cat([torch.zeros(1, dimension), torch.randn(rows - 1, dimension, generator=generator)])
    model = ConceptCNN(table, shape)
    model.load_state_dict(initial_weights(dimension, shape, seed))
    return model


def losses_and_weights(
    model: ConceptCNN, tokens: Tensor, labels: Tensor, plain: bool
) -> tuple[list[float], Tensor, Tensor]:
    """Ten steps of SGD; the losses, the first gradient and the last weights."""
    features = model.convolve_and_pool if plain else model.project_and_pool
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
    losses, first = [], torch.empty(0)
    for step in range(10):
        loss = functional.cross_entropy(model.head(features(tokens)), labels)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            first = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        optimiser.step()
        losses.append(loss.item())
    return losses, first, torch.cat([p.detach().flatten() for p in model.parameters()])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 30), length=st.integers(1, 12))
def test_projected_table_and_convolution_learn_the_same(seed: int, rows: int, length: int) -> None:
    shape = ModelShape(filters=6)
    generator = torch.Generator().manual_seed(seed)
    # no token twice in an encounter, as in a cohort: where two rows tie, which of them gets the gradient is a choice
    tokens = torch.stack([torch.randperm(max(rows, length), generator=generator)[:length] for _ in range(9)])
    tokens = torch.where(tokens < rows, tokens, 0).int()
    labels = torch.randint(0, 2, (9,), generator=generator)
    fast = losses_and_weights(make(rows, 5, shape, seed), tokens, labels, plain=False)
    slow = losses_and_weights(make(rows, 5, shape, seed), tokens, labels, plain=True)
    assert fast[0] == pytest.approx(slow[0], abs=1e-5)
    torch.testing.assert_close(fast[1], slow[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast[2], slow[2], atol=1e-5, rtol=1e-4)


def test_a_score_by_hand() -> None:
    model = ConceptCNN(torch.tensor([[0.0], [1.0], [-2.0]]), ModelShape(filters=2))
    weights = {
        "conv.weight": torch.tensor([[[3.0]], [[-1.0]]]),
        "conv.bias": torch.tensor([0.5, -4.0]),
        "linear.weight": torch.tensor([[1.0, 0.0], [2.0, 5.0]]),
        "linear.bias": torch.tensor([0.0, 1.0]),
    }
    model.load_state_dict(weights)
    # token 1: filters 3.5 and -5; token 2: -5.5 and -2; their maxima 3.5 and -2, after ReLU 3.5 and 0
    torch.testing.assert_close(model(torch.tensor([[1, 2]])), torch.tensor([[3.5, 8.0]]))
    # no token at all: nothing but the bias of the head
    torch.testing.assert_close(model(torch.tensor([[0, 0]])), torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize("kernel", [1, 3])
def test_padding_changes_nothing(kernel: int) -> None:
    model = make(8, 4, ModelShape(filters=5, kernel=kernel))
    tokens = torch.tensor([[3, 1, 7, 2], [5, 6, 4, 1]])
    longer = functional.pad(tokens, (0, 5))
    if kernel == 1:
        torch.testing.assert_close(model(longer), model(tokens))
    else:  # a wider window may see the row of zeros at the edge, but never a window without tokens
        farther = functional.pad(tokens, (0, 20))
        torch.testing.assert_close(model(longer), model(farther))


def test_order_of_tokens_matters_only_to_a_wide_kernel() -> None:
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    narrow, wide = make(8, 4, ModelShape()), make(8, 4, ModelShape(kernel=2))
    torch.testing.assert_close(narrow(tokens), narrow(tokens.flip(1)))
    assert not torch.allclose(wide(tokens), wide(tokens.flip(1)))


def test_the_table_is_no_weight() -> None:
    model = make(10, 768, ModelShape())
    assert set(model.state_dict()) == {"conv.weight", "conv.bias", "linear.weight", "linear.bias"}
    assert sum(value.numel() for value in model.state_dict().values()) == 77_102  # the paper's network at D = 768
    assert sum(value.numel() for name, value in model.state_dict().items() if name.startswith("linear")) == 202
    assert not model.table.requires_grad


def test_dropout_needs_a_generator_and_keeps_the_mean() -> None:
    model = make(10, 4, ModelShape(filters=50))
    pooled = torch.ones(4000, 50)
    model.linear.weight.data.fill_(1.0)
    model.linear.bias.data.zero_()
    assert torch.equal(model.head(pooled), torch.full((4000, 2), 50.0))
    dropped = model.head(pooled, torch.Generator().manual_seed(0))
    assert dropped.mean().item() == pytest.approx(50.0, rel=0.01)
    assert dropped.std().item() > 1.0


def test_initial_weights_leave_torch_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = initial_weights(4, ModelShape(), 11)
    assert torch.equal(torch.rand(2), expected)
    second = initial_weights(4, ModelShape(), 11)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv.weight"], initial_weights(4, ModelShape(), 12)["conv.weight"])
