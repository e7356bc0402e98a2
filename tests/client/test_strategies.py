"""What the strategies between direct share and full tuning do at a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.agent import Agent
from client.preparation import prepare
from client.site_file import load_site
from client.training import Stage, probabilities, train, train_steps
from common import __version__
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.recalibration import INTERCEPT, SLOPE
from common.shape import ModelShape
from common.strategies import CNN, EVERYTHING, LINEAR, STRATEGIES
from common.tasks import Answer, Embedding, Request, Work
from common.wire import Flat, pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=1, epochs=2, batches=20, batch_size=32, optimiser="sgd", learning_rate=0.01)
SHAPE = ModelShape()


@pytest.fixture(scope="module")
def start(hospitals: Path) -> dict[str, Flat]:
    """A model that has learnt something."""
    data = prepare(load_site(hospitals / "salt-lake.toml"), MINILM)
    model = ConceptCNN(data.table, SHAPE)
    model.load_state_dict(initial_weights(384, SHAPE, 0))
    train(model, Stage(data.splits["train"], data.splits["validation"], TRAINING, EVERYTHING, lambda n: n))
    return dict(pack(model.state_dict(), EVERYTHING, 384, SHAPE))


def ask(
    hospitals: Path, start: dict[str, Flat], strategy: str, prevalence: tuple[float, ...] | None = None, **training: Any
) -> Answer:
    task = Work(
        version=__version__,
        strategy=strategy,
        embedding=MINILM,
        model=SHAPE,
        training=TRAINING.model_copy(update=training) if STRATEGIES[strategy].tuned else None,
        seed=7,
        score=("validation", "test"),
        prevalence=prevalence,
    )
    return Agent([load_site(hospitals / "allegheny.toml")]).answer(Request(task.model_dump_json(), dict(start)))


@pytest.mark.parametrize(("strategy", "numbers"), [("intercept", {INTERCEPT}), ("recalibrate", {INTERCEPT, SLOPE})])
def test_recalibration_sends_its_numbers_and_keeps_the_ranking(
    hospitals: Path, start: dict[str, Flat], strategy: str, numbers: set[str]
) -> None:
    before, after = ask(hospitals, start, "direct"), ask(hospitals, start, strategy)
    assert (after.code, after.arrays) == ("ok", {})
    assert {name for name in after.figures if name.startswith("recalibration")} == numbers
    assert after.figures["test.auroc"] == pytest.approx(before.figures["test.auroc"], abs=1e-4)
    assert after.figures["test.brier"] < before.figures["test.brier"]
    assert abs(after.figures["test.calibration_intercept"]) < abs(before.figures["test.calibration_intercept"])
    assert abs(after.figures["test.calibration_intercept"]) < 0.4


def test_the_prior_is_one_number_from_both_prevalences(
    hospitals: Path, start: dict[str, Flat], caplog: pytest.LogCaptureFixture
) -> None:
    before, after = ask(hospitals, start, "direct"), ask(hospitals, start, "prior", prevalence=(0.12,))
    labels = prepare(load_site(hospitals / "allegheny.toml"), MINILM).splits["train"].labels.numpy()
    shift = np.log(labels.mean() / (1 - labels.mean())) - np.log(0.12 / 0.88)
    assert {name: v for name, v in after.figures.items() if "recalibration" in name} == {
        INTERCEPT: pytest.approx(shift)
    }
    assert after.figures["test.auroc"] == pytest.approx(before.figures["test.auroc"], abs=1e-4)
    assert ask(hospitals, start, "prior").code == "bad-task"
    assert "strategy 'prior' needs the prevalence at the sources" in caplog.text


def test_layer_wise_begins_where_the_head_alone_ends(hospitals: Path) -> None:
    data = prepare(load_site(hospitals / "allegheny.toml"), MINILM)
    models = [ConceptCNN(data.table, SHAPE) for _ in range(2)]
    for model in models:
        model.load_state_dict(initial_weights(384, SHAPE, 0))
    stage = Stage(data.splits["train"], data.splits["validation"], TRAINING, EVERYTHING, lambda n: n)
    train_steps(models[0], stage, [(LINEAR,)])
    assert torch.equal(models[0].conv.weight, initial_weights(384, SHAPE, 0)["conv.weight"])
    train_steps(models[1], stage, STRATEGIES["layer-wise"].steps)
    assert not torch.equal(models[1].conv.weight, models[0].conv.weight)
    assert not np.array_equal(*(probabilities(model, data.splits["test"]) for model in models))
    assert STRATEGIES["layer-wise"].tuned == (CNN, LINEAR)


def test_l2_sp_stays_nearer_to_the_model_that_came(hospitals: Path, start: dict[str, Flat]) -> None:
    came = start["cnn+linear"]

    def moved(strategy: str, **training: Any) -> float:
        answer = ask(hospitals, start, strategy, **training)
        return float(np.linalg.norm(answer.arrays["cnn+linear"] - came))

    full, weak, strong = moved("full"), moved("l2-sp", pull=0.1), moved("l2-sp", pull=5.0)
    assert strong < 0.5 * weak
    assert weak < full
