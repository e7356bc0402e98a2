"""Clipped sums are those of per-example gradients that somebody else computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from client.compact import CompactCNN, basis_of
from client.privacy.gradients import Drawn, Rows, clipped_sum, parts_of, squared_norms
from common.model import ConceptCNN
from common.outcome import loss
from common.shape import ModelShape

ROWS, WIDTH, TOKENS = 12, 20, 6
BOTH = ("cnn", "linear")


def model_of(shape: ModelShape, seed: int = 0, width: int = WIDTH) -> ConceptCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        table = torch.randn(ROWS, width)
        table[0] = 0
        return ConceptCNN(table, shape, 0.5)


def batch(counts: list[int], shape: ModelShape, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Drawn]:
    """Tokens, labels, what dropout keeps, and whose they are, of patients with so many encounters each."""
    generator = torch.Generator().manual_seed(seed)
    size = sum(counts)
    tokens = torch.randint(0, ROWS, (size, TOKENS), generator=generator)
    tokens[:1] = 0  # an encounter without any token
    labels = torch.randint(0, shape.outputs, (size,), generator=generator)
    if shape.labels:
        labels = torch.randint(0, 2, (size, shape.outputs), generator=generator)
    keep = (torch.rand(size, shape.filters, generator=generator) >= 0.5).float() * 2
    many = torch.tensor(counts)
    return tokens, labels, keep, Drawn(torch.arange(size), torch.repeat_interleave(many), many)


def each_gradient(model: ConceptCNN, tokens: Tensor, labels: Tensor, keep: Tensor) -> dict[str, Tensor]:
    """Every encounter's gradient by itself, through the usual convolution, as torch.func computes it."""

    def cost(state: dict[str, Tensor], token: Tensor, label: Tensor, kept: Tensor) -> Tensor:
        def forward(module: ConceptCNN) -> Tensor:
            embedded = module.table[token].T[None]
            hidden = (torch.relu(module.conv(embedded)) * (token != 0)).amax(2)
            return module.linear(hidden * kept)

        class Whole(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = model

            def forward(self) -> Tensor:
                return forward(self.inner)

        logits = functional_call(Whole(), {f"inner.{name}": value for name, value in state.items()}, ())
        return loss(model.shape, logits, label[None])

    state = {name: value.detach() for name, value in model.named_parameters()}
    return vmap(grad(cost), in_dims=(None, 0, 0, 0))(state, tokens, labels, keep)


def expected(each: dict[str, Tensor], drawn: Drawn, tuned: tuple[str, ...], clip: float) -> dict[str, Tensor]:
    """Lay every patient's mean gradient out, cut it, and add up."""
    names = [name for name in each if name.split(".")[0].replace("conv", "cnn") in tuned]
    flat = torch.cat([each[name].flatten(1) for name in names], dim=1).double()
    means = torch.zeros(len(drawn.counts), flat.shape[1], dtype=torch.float64).index_add_(0, drawn.patients, flat)
    means /= drawn.counts[:, None]
    total = (means * (clip / means.norm(dim=1, keepdim=True)).clamp(max=1)).sum(0)
    pieces = torch.split(total, [each[name][0].numel() for name in names])
    return {name: piece.view_as(each[name][0]) for name, piece in zip(names, pieces, strict=True)}


SHAPES = [
    ModelShape(filters=7),
    ModelShape(filters=5, classes=("a", "b", "c")),
    ModelShape(filters=5, labels=("x", "y", "z")),
]


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    shape=st.sampled_from(SHAPES),
    tuned=st.sampled_from([BOTH, ("linear",), ("cnn",)]),
    clip=st.sampled_from([0.01, 0.5, 3.0, 1e4]),
    seed=st.integers(0, 5),
)
def test_sums_are_those_of_gradients_laid_out(
    counts: list[int], shape: ModelShape, tuned: tuple[str, ...], clip: float, seed: int
) -> None:
    model = model_of(shape, seed)
    tokens, labels, keep, drawn = batch(counts, shape, seed)
    parts = parts_of(model, tokens, labels, keep, tuned, None)
    sums = clipped_sum(parts, drawn, Rows.of(model.table), tuned, clip)
    wanted = expected(each_gradient(model, tokens, labels, keep), drawn, tuned, clip)
    assert sums.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(sums[name].double(), value, rtol=2e-4, atol=2e-6 * max(1.0, float(value.norm())))


@pytest.mark.parametrize("clip", [0.3, 5.0])
def test_no_patient_adds_more_than_the_clip(clip: float) -> None:
    shape = SHAPES[0]
    model = model_of(shape)
    model.linear.weight.data.mul_(50)
    for patient in range(4):
        tokens, labels, keep, drawn = batch([3], shape, patient)
        sums = clipped_sum(parts_of(model, tokens, labels, keep, BOTH, None), drawn, Rows.of(model.table), BOTH, clip)
        norm = torch.cat([value.flatten() for value in sums.values()]).norm()
        assert float(norm) == pytest.approx(clip, rel=1e-5)


def test_norms_are_opacus_s() -> None:
    """Opacus lays every gradient out by hooks of its own, through Conv1d."""
    from opacus.grad_sample import GradSampleModule

    shape = ModelShape(filters=9)
    model = model_of(shape)
    tokens, labels, _, drawn = batch([1] * 8, shape)
    tokens = tokens.clamp(min=1)  # Opacus sees no mask
    plain = nn.Sequential(model.copy().conv, nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), model.copy().linear)
    sampled: Any = GradSampleModule(plain, loss_reduction="sum")
    embedded = model.table[tokens].transpose(1, 2).requires_grad_()
    nn.functional.cross_entropy(sampled(embedded), labels, reduction="sum").backward()
    theirs = sum(p.grad_sample.flatten(1).double().square().sum(1) for p in sampled.parameters())
    parts = parts_of(model, tokens, labels, torch.ones(8, 9), BOTH, None)
    ours = squared_norms(parts, drawn, Rows.of(model.table), BOTH)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-9)


def test_few_coordinates_have_the_norms_of_all() -> None:
    shape = ModelShape(filters=7)
    wide = model_of(shape, width=40)
    basis = basis_of(wide.table)
    assert basis is not None
    tokens, labels, keep, drawn = batch([1, 3, 2], shape)
    norms = []
    for model in (wide, CompactCNN(wide, basis)):
        parts = parts_of(model, tokens, labels, keep, BOTH, None)
        norms.append(squared_norms(parts, drawn, Rows.of(model.table), BOTH))
    torch.testing.assert_close(norms[0], norms[1], rtol=1e-4, atol=1e-9)


def test_many_pairs_at_a_time_are_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES[0]
    model = model_of(shape)
    tokens, labels, keep, drawn = batch([5, 1, 4], shape)
    whole = list(zip(*(torch.cat(places).tolist() for places in zip(*drawn.pairs(), strict=True)), strict=True))
    patients = drawn.patients.tolist()
    assert sorted(whole) == [(i, j) for i in range(10) for j in range(i) if patients[i] == patients[j]]
    norms = []
    for most in (1 << 15, 3):
        monkeypatch.setattr("client.privacy.gradients._PAIRS", most)
        parts = parts_of(model, tokens, labels, keep, BOTH, None)
        norms.append(squared_norms(parts, drawn, Rows.of(model.table), BOTH))
    torch.testing.assert_close(norms[0], norms[1])


def test_a_patient_whose_gradient_is_not_finite_adds_nothing() -> None:
    shape = SHAPES[0]
    model = model_of(shape)
    model.table[5] = 1e30  # whoever has it spoils everything, and so would show
    tokens, labels, keep, drawn = batch([1, 1, 2], shape)
    tokens = torch.where(tokens == 5, 4, tokens)
    rows = Rows.of(model.table)
    clean = clipped_sum(
        parts_of(model, tokens[:1], labels[:1], keep[:1], BOTH, None), batch([1], shape)[3], rows, BOTH, 1
    )
    tokens[1:, 0] = 5
    spoilt = clipped_sum(parts_of(model, tokens, labels, keep, BOTH, None), drawn, rows, BOTH, 1)
    for name, value in clean.items():
        assert spoilt[name].isfinite().all()
        torch.testing.assert_close(spoilt[name], value, rtol=1e-5, atol=1e-6)


def test_nobody_drawn_adds_zeros() -> None:
    model = model_of(SHAPES[0])
    none = torch.zeros(0, dtype=torch.int64)
    tokens = torch.zeros(0, TOKENS, dtype=torch.int64)
    parts = parts_of(model, tokens, none, torch.zeros(0, 7), BOTH, None)
    sums = clipped_sum(parts, Drawn(none, none, none), Rows.of(model.table), BOTH, 1.0)
    assert all((value == 0).all() for value in sums.values())
