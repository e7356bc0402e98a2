"""What each token adds to a score, against a sum over filters written out one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from client.prediction.explain import Explainer
from common.model import ConceptCNN
from common.shape import ModelShape


def model_of(kernel: int) -> ConceptCNN:
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(12, 5, generator=generator)
    table[0] = 0
    model = ConceptCNN(table, ModelShape(filters=9, kernel=kernel))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model.requires_grad_(False)


def encounters() -> Tensor:
    tokens = torch.randint(0, 12, (40, 7), generator=torch.Generator().manual_seed(4))
    tokens[0] = 0  # an encounter of which nothing is known
    tokens[1, 1:] = 0
    return tokens


def one_by_one(model: ConceptCNN, tokens: Tensor) -> Tensor:
    """Share out one encounter's score, tokens (L,): each filter's term to the tokens of its best window."""
    width = model.conv.kernel_size[0]
    added = torch.zeros(len(tokens), dtype=torch.float64)
    for f in range(model.conv.out_channels):
        best, won = 0.0, None
        for start in range(len(tokens) - width + 1):
            window = tokens[start : start + width]
            if not window.any():
                continue
            value = float(model.conv.bias[f]) + sum(
                float(model.table[row] @ model.conv.weight[f, :, k]) for k, row in enumerate(window)
            )
            if value > best:
                best, won = value, start
        if won is not None:
            there = [place for place in range(won, won + width) if tokens[place]]
            weight = float(model.linear.weight[1, f]) - float(model.linear.weight[0, f])
            added[there] += best * weight / len(there)
    return added


@pytest.mark.parametrize("kernel", [1, 3])
def test_contributions_are_those_of_the_filters_that_tokens_won(kernel: int) -> None:
    model, tokens = model_of(kernel), encounters()
    found = Explainer(model).explain(tokens)
    expected = torch.stack([one_by_one(model, own) for own in tokens])
    torch.testing.assert_close(found.contributions, expected, atol=1e-5, rtol=1e-5)
    assert (found.contributions[tokens == 0] == 0).all()


@pytest.mark.parametrize("kernel", [1, 3])
def test_contributions_and_bias_are_the_logit(kernel: int) -> None:
    model, tokens = model_of(kernel), encounters()
    found, logits = Explainer(model).explain(tokens), model(tokens).double()
    torch.testing.assert_close(
        found.bias + found.contributions.sum(dim=1), logits[:, 1] - logits[:, 0], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(found.probabilities, logits.softmax(dim=1)[:, 1], atol=1e-6, rtol=0)
