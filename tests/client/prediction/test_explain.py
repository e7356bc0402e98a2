"""What each token adds to a score, against a sum over filters written out one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from client.prediction.explain import Explainer
from common.model import ConceptCNN
from common.shape import ModelShape

TWO = ModelShape()
SHAPES = [TWO, ModelShape(classes=("a", "b", "c", "d")), ModelShape(labels=("a", "b", "c"))]
KINDS = ["two", "classes", "labels"]


def model_of(kernel: int, shape: ModelShape = TWO) -> ConceptCNN:
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(12, 5, generator=generator)
    table[0] = 0
    model = ConceptCNN(table, shape.model_copy(update={"filters": 9, "kernel": kernel}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model.requires_grad_(False)


def encounters() -> Tensor:
    tokens = torch.randint(0, 12, (40, 7), generator=torch.Generator().manual_seed(4))
    tokens[0] = 0  # an encounter of which nothing is known
    tokens[1, 1:] = 0
    return tokens


def one_by_one(model: ConceptCNN, tokens: Tensor, weights: Tensor) -> Tensor:
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
            added[there] += best * float(weights[f]) / len(there)
    return added


def logits_of(shape: ModelShape, logits: Tensor) -> Tensor:
    """log(p / (1 - p)) of each class or label, (B, Q), from a model's outputs (B, C)."""
    if shape.labels is not None:
        return functional.logsigmoid(logits) - functional.logsigmoid(-logits)
    places = range(1 if shape.binary else 0, shape.outputs)
    told = logits.log_softmax(dim=1)
    others = [[j for j in range(shape.outputs) if j != c] for c in places]
    return torch.stack([told[:, c] - told[:, left].logsumexp(1) for c, left in zip(places, others, strict=True)], 1)


def weights_of(model: ConceptCNN, tokens: Tensor, asked: int) -> Tensor:
    """Weights (F,) of the pooled values in one encounter's log(p / (1 - p)): its gradient, by automatic means."""
    pooled = model.features(tokens[None]).double().requires_grad_()
    logits = pooled @ model.linear.weight.double().T + model.linear.bias.double()
    (gradient,) = torch.autograd.grad(logits_of(model.shape, logits)[0, asked], pooled)
    return gradient[0]


def some_of(shape: ModelShape, count: int) -> Tensor:
    """Ask for every class or label in turn."""
    return torch.arange(count) % (1 if shape.binary else shape.outputs)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=KINDS)
def test_contributions_are_those_of_the_filters_that_tokens_won(kernel: int, shape: ModelShape) -> None:
    model, tokens = model_of(kernel, shape), encounters()
    asked, explainer = some_of(shape, len(tokens)), Explainer(model)
    found = explainer.explain(explainer.see(tokens), asked)
    expected = [one_by_one(model, own, weights_of(model, own, int(q))) for own, q in zip(tokens, asked, strict=True)]
    torch.testing.assert_close(found.contributions, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert (found.contributions[tokens == 0] == 0).all()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=KINDS)
def test_contributions_and_bias_are_the_logit(kernel: int, shape: ModelShape) -> None:
    model, tokens = model_of(kernel, shape), encounters()
    asked, explainer = some_of(shape, len(tokens)), Explainer(model)
    seen = explainer.see(tokens)
    found, logits = explainer.explain(seen, asked), model(tokens).double()
    torch.testing.assert_close(seen.logits.double(), logits, atol=1e-5, rtol=0)
    expected = logits_of(shape, logits).gather(1, asked[:, None])[:, 0]
    torch.testing.assert_close(found.bias + found.contributions.sum(dim=1), expected, atol=1e-5, rtol=0)


def test_a_class_that_is_out_of_the_question_explains_nothing() -> None:
    """Between two classes, whatever is said of a third that is impossible."""
    model, two = model_of(1, ModelShape(classes=("a", "b", "c"))), model_of(1)
    with torch.no_grad():
        model.linear.bias[2] = -200
        two.load_state_dict(
            {**model.state_dict(), "linear.weight": model.linear.weight[:2], "linear.bias": model.linear.bias[:2]}
        )
    tokens, both = encounters(), [Explainer(model), Explainer(two)]
    three, alone = (each.explain(each.see(tokens), torch.full((40,), q)) for each, q in zip(both, (1, 0), strict=True))
    torch.testing.assert_close(three.contributions, alone.contributions)
    torch.testing.assert_close(three.bias, alone.bias)
