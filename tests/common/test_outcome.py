"""What outputs mean: losses and probabilities by hand, and who counts as few."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
import torch

from common.errors import ConfigError, WireError
from common.figures import check_figure, metric_of, name_of
from common.outcome import answers, chances, few, loss, told
from common.shape import ModelShape

TWO, NAMED = ModelShape(), ModelShape(classes=("other", "flu"))
VIRUSES, LABELS = ModelShape(classes=("flu", "rsv", "none")), ModelShape(labels=("flu", "rsv"))


def test_outputs() -> None:
    shapes = (TWO, NAMED, VIRUSES, LABELS)
    assert [(shape.outputs, shape.binary) for shape in shapes] == [(2, True), (2, True), (3, False), (2, False)]
    assert [shape.names for shape in shapes] == [(), ("other", "flu"), ("flu", "rsv", "none"), ("flu", "rsv")]
    assert TWO.predicts == "two classes, positive and negative"
    assert VIRUSES.predicts == "the classes flu, rsv, none"
    assert LABELS.predicts == "the labels flu, rsv"


def test_losses_by_hand() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 1.0], [3.0, 1.0, 4.0]]))
    assert loss(VIRUSES, logits, torch.tensor([1, 2])).item() == pytest.approx(np.log(2))  # both have probability 1/2
    odds = torch.log(torch.tensor([[1.0, 3.0], [1.0, 1.0]]))  # probabilities 1/2, 3/4; 1/2, 1/2
    given = torch.tensor([[1, 1], [0, 1]])
    expected = (
        -(np.log(1 / 2) + np.log(3 / 4) + np.log(1 / 2) + np.log(1 / 2)) / 2
    )  # summed over labels, mean over rows
    assert loss(LABELS, odds, given).item() == pytest.approx(expected)


def test_a_label_learns_the_same_whatever_else_is_asked() -> None:
    logits = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    given = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]])
    loss(LABELS, logits, given).backward()  # type: ignore[no-untyped-call]
    alone = (logits.detach()[:, 0].sigmoid() - given[:, 0]) / 5
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[:, 0], alone)


def test_chances() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 1.0], [3.0, 1.0, 4.0]]))
    npt.assert_allclose(chances(VIRUSES, logits), [[1 / 4, 1 / 2, 1 / 4], [3 / 8, 1 / 8, 1 / 2]], rtol=1e-6)
    npt.assert_allclose(chances(LABELS, logits[:, :2]), [[1 / 2, 2 / 3], [3 / 4, 1 / 2]], rtol=1e-6)
    two = torch.randn(4, 2, generator=torch.Generator().manual_seed(2))
    npt.assert_array_equal(chances(TWO, two)[:, 0], two.double().softmax(dim=1)[:, 1].numpy())
    npt.assert_array_equal(chances(NAMED, two), chances(TWO, two))


def test_answers_and_who_is_few() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    yes = answers(VIRUSES, labels)
    npt.assert_array_equal(yes.sum(axis=0), [3, 2, 1])
    assert (told(yes, 2), few(yes, 2)) == ([0, 1], [2])
    assert (told(yes, 3), few(yes, 3)) == ([0], [1, 2])
    never = answers(VIRUSES, np.array([0, 0, 1, 1]))
    assert (told(never, 2), few(never, 2)) == ([0, 1], [])  # nobody has the third: nobody to protect, nothing to score
    npt.assert_array_equal(answers(TWO, np.array([0, 1, 1]))[:, 0], [0, 1, 1])
    assert told(answers(TWO, np.array([1, 1, 1])), 1) == []


@pytest.mark.parametrize(
    ("shape", "labels"),
    [(TWO, [0, 1, 2]), (VIRUSES, [[0, 1, 0]]), (LABELS, [0, 1]), (LABELS, [[0, 1, 0]]), (LABELS, [[2, 0]])],
)
def test_labels_of_another_task(shape: ModelShape, labels: list[Any]) -> None:
    with pytest.raises(ConfigError, match=f"the model predicts {shape.predicts}; the encounters' labels are others"):
        answers(shape, np.array(labels))


@pytest.mark.parametrize(
    ("figure", "name", "metric"),
    [
        ("test.auroc.low", "", "auroc"),
        ("test.rsv.auroc.low", "rsv", "auroc"),
        ("came.validation.rsv.brier", "rsv", "brier"),
        ("validation.rsv.n", "rsv", "n"),
        ("test.rsv.curve.03.positive", "rsv", "curve"),
        ("test.curve.03.positive", "", "curve"),
        ("num-examples", "", "num-examples"),
    ],
)
def test_figures_of_a_class(figure: str, name: str, metric: str) -> None:
    check_figure(figure, 1)
    assert (name_of(figure), metric_of(figure)) == (name, metric)


@pytest.mark.parametrize("figure", ["test.RSV.auroc", "test.a.b.auroc", "validation.rsv.curve.03.n", "test.rsv"])
def test_figures_that_are_not_on_the_list(figure: str) -> None:
    with pytest.raises(WireError, match="not on the list"):
        check_figure(figure, 0.5)
