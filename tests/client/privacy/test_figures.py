"""Scores from noised counts: near the exact ones, and one patient changes the counts by no more than one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.preparation import Prepared, prepare
from client.privacy import figures
from client.privacy.figures import BINS, _possible, counts, score_noised
from client.privacy.randomness import Randomness
from client.scores import score_splits
from client.site_file import load_site
from client.training import Encounters, Stage, train
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape
from common.tasks import Embedding, Work

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
KEY = bytes(32)


class Silent(Randomness):
    """No noise."""

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.zeros(*shape, dtype=torch.float64)


@pytest.fixture(scope="module")
def data(hospitals: Path) -> Prepared:
    return prepare(load_site(hospitals / "allegheny.toml"), MINILM)


@pytest.fixture(scope="module")
def model(data: Prepared) -> ConceptCNN:
    made = ConceptCNN(data.table, ModelShape(), 0.5)
    made.load_state_dict(initial_weights(384, ModelShape(), 1))
    training = Training(rounds=1, epochs=5, batches=50, batch_size=32, optimiser="sgd", learning_rate=0.01)
    splits = data.splits
    train(made, Stage(splits["train"], splits["validation"], training, ("cnn", "linear"), lambda number: 1))
    return made


def work(**changes: Any) -> Work:
    fields = {"version": "0", "strategy": "direct", "embedding": MINILM, "model": ModelShape(), "training": None}
    return Work.model_validate(fields | {"seed": 1, "score": ("validation", "test"), "threshold": 0.3} | changes)


def test_without_noise_they_are_the_exact_ones_but_for_the_ranges(model: ConceptCNN, data: Prepared) -> None:
    task = work(threshold=None, choose_threshold=True)
    exact = score_splits(model, task, data.splits, "allegheny", 11).figures
    ranged = score_noised(model, task, data.splits, 11, 5.0, Silent(KEY)).figures
    for name in ("test.n", "test.positive", "validation.n", "validation.positive"):
        assert ranged[name] == exact[name]
    for name in ("test.auroc", "test.brier", "validation.auroc"):
        assert ranged[name] == pytest.approx(exact[name], abs=0.015)
    assert ranged["test.auprc"] == pytest.approx(exact["test.auprc"], abs=0.05)  # the highest range is one step
    assert ranged["threshold"] == pytest.approx(exact["threshold"], abs=0.15)
    assert not [name for name in ranged if name.endswith((".low", ".high"))]
    counted = [value for name, value in ranged.items() if name.endswith(".n") and "curve" in name]
    assert sum(counted) == ranged["test.n"]


def test_noise_is_as_large_as_it_is_charged_for(model: ConceptCNN, data: Prepared) -> None:
    test, randomness = data.splits["test"], Randomness(KEY)
    [(exact, _)] = counts(model, [test], 3.0, Silent(KEY))
    drawn = [
        [(labels == 0).sum(), labels.sum()] for _ in range(300) for labels, _ in counts(model, [test], 3.0, randomness)
    ]
    spread = np.array(drawn) - [(exact == 0).sum(), exact.sum()]
    assert np.abs(spread.mean(0)).max() < 4  # nobody is made of empty ranges
    assert spread.std(0) == pytest.approx(3 * BINS**0.5, rel=0.15)


def test_counts_are_the_nearest_that_can_be() -> None:
    assert _possible(np.array([5.0, -3.0, 10.0])).tolist() == [4, 0, 8]  # 3 taken from the two that are above
    assert _possible(np.array([4.0, 7.0])).tolist() == [4, 7]
    assert _possible(np.array([-4.0, 1.0])).tolist() == [0, 0]


def test_one_patient_changes_the_counts_by_at_most_one(
    model: ConceptCNN, data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    bincount = np.bincount

    def note(cells: Any, weights: Any, minlength: int) -> Any:
        seen.append(bincount(cells, weights, minlength=minlength))
        return seen[-1]

    monkeypatch.setattr(figures.np, "bincount", note)
    whose = torch.arange(120) % 40  # three encounters each, over both splits
    both = [
        dataclasses.replace(data.splits[name].first(60), patients=whose[place : place + 60])
        for name, place in (("validation", 0), ("test", 60))
    ]
    counts(model, both, 1.0, Silent(KEY))
    for patient in (0, 7, 39):
        without = [
            Encounters(split.tokens[rest], split.labels[rest], split.patients[rest])
            for split in both
            if split.patients is not None
            for rest in [split.patients != patient]
        ]
        counts(model, without, 1.0, Silent(KEY))
    whole, *others = [np.concatenate(seen[at : at + 2]) for at in range(0, len(seen), 2)]
    assert whole.sum() == pytest.approx(40)
    for other in others:
        assert np.linalg.norm(whole - other) <= 1 + 1e-9
        assert np.abs(whole - other).sum() == pytest.approx(1)


def test_what_is_left_of_few_is_held_back(model: ConceptCNN, data: Prepared) -> None:
    few = {name: split.first(15) for name, split in data.splits.items()}
    scored = score_noised(model, work(), few, 11, 0.5, Silent(KEY))
    assert scored.figures == {}
    assert {"auroc", "curve"} <= scored.suppressed
