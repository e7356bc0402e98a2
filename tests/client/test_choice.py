"""The rule by which a target chooses its strategy, and that it then has what that strategy gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from client.agent import Agent
from client.choice import choose, judge
from client.preparation import prepare
from client.site_file import load_site
from client.training import Encounters, Stage, train
from common import __version__
from common.choice import reason
from common.config import Training
from common.figures import check_figure, metric_of
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape
from common.strategies import CANDIDATES, EVERYTHING, STRATEGIES
from common.tasks import Answer, Embedding, Request, Work
from common.wire import Flat, pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=1, epochs=2, batches=10, batch_size=32, optimiser="sgd", learning_rate=0.01)
SHAPE = ModelShape()


def test_two_models_by_hand() -> None:
    labels = np.array([0, 0, 1, 1] * 4)
    best = np.where(labels, 0.9, 0.1)
    worse = np.tile([0.1, 0.8, 0.2, 0.9], 4)
    found = judge(labels[:, None], np.stack([worse, best])[:, :, None])
    # of the worse, half of the positives are above half of the negatives, the others above all: AUROC 3/4; each class's
    # share of pairs won is 1/2 for four encounters and 1 for four: variance (4 / 7) (1/4)^2 * 2 = 1/14 over 8, twice
    assert found.behind == [0.25, 0.0]
    assert found.errors == pytest.approx([np.sqrt(2 / 14 / 8), 0.0])
    assert found.chosen == 1
    assert judge(labels[:, None], np.stack([best, worse])[:, :, None]).chosen == 0
    assert judge(labels[:, None], np.stack([best, best])[:, :, None]).chosen == 0  # not worse: the lighter


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(6, 60))
def test_the_choice_is_the_first_within_an_error_of_the_best(seed: int, models: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    scores = draw.random((models, count)) + labels * draw.random((models, 1))
    found = judge(labels[:, None], scores[:, :, None])
    aurocs = [roc_auc_score(labels, one) for one in scores]
    assert found.behind == pytest.approx([max(aurocs) - one for one in aurocs])
    within = [behind <= error for behind, error in zip(found.behind, found.errors, strict=True)]
    assert found.chosen == within.index(True)


def test_of_several_questions_the_mean_counts_and_its_error() -> None:
    draw = np.random.default_rng(0)
    yes = np.stack([np.arange(40) % 2, np.arange(40) // 20], axis=1)
    chances = draw.random((3, 40, 2)) + 0.3 * yes
    found = judge(yes, chances)
    means = [roc_auc_score(yes, each, average="macro") for each in chances]
    assert found.behind == pytest.approx([max(means) - mean for mean in means])
    twice = judge(np.repeat(yes[:, :1], 2, axis=1), np.repeat(chances[:, :, :1], 2, axis=2))
    assert twice.errors == pytest.approx(judge(yes[:, :1], chances[:, :, :1]).errors)  # one question asked twice


def test_the_reason_in_words() -> None:
    names = ("direct", "linear")
    figures = {"choice": 1.0, "choice.direct.behind": 0.05, "choice.direct.error": 0.02}
    figures |= {"choice.linear.behind": 0.0, "choice.linear.error": 0.0}
    said = "the lightest within one standard error of the best: direct 0.050 behind (error 0.020), linear best"
    assert reason(names, figures) == f"chose linear, {said}"
    assert reason(names, {"choice": 0.0}).startswith("chose direct, with too few validation encounters")
    assert reason(names, {"choice": 7.0}) == reason(names, {"choice": 0.5}) == reason(names, {}) == ""
    for name, value in figures.items():
        check_figure(name, value)
    assert metric_of("choice.direct.behind") == "auroc"


@pytest.fixture(scope="module")
def start(hospitals: Path) -> dict[str, Flat]:
    """A model that has learnt something."""
    data = prepare(load_site(hospitals / "salt-lake.toml"), MINILM)
    model = ConceptCNN(data.table, SHAPE)
    model.load_state_dict(initial_weights(384, SHAPE, 0))
    train(model, Stage(data.splits["train"], data.splits["validation"], TRAINING, EVERYTHING, lambda n: n))
    return dict(pack(model.state_dict(), EVERYTHING, 384, SHAPE))


def ask(hospitals: Path, start: dict[str, Flat], strategy: str, min_cell: int = 11) -> Answer:
    task = Work(
        version=__version__,
        strategy=strategy,
        embedding=MINILM,
        model=SHAPE,
        training=TRAINING if STRATEGIES[strategy].tuned else None,
        seed=7,
        score=("validation", "test"),
    )
    site = load_site(hospitals / "allegheny.toml")
    site = replace(site, policy=site.policy.model_copy(update={"min_cell": min_cell}))
    return Agent([site]).answer(Request(task.model_dump_json(), dict(start)))


def scores(answer: Answer) -> dict[str, float]:
    return {name: value for name, value in answer.figures.items() if name.startswith("test.")}


def test_the_target_has_what_the_chosen_strategy_gives(hospitals: Path, start: dict[str, Flat]) -> None:
    chose = ask(hospitals, start, "auto")
    name = CANDIDATES[int(chose.figures["choice"])]
    alone = ask(hospitals, start, name)
    assert scores(chose) == scores(alone)
    own = alone.arrays.get("cnn+linear", start["cnn+linear"])
    if "cnn+linear" in alone.arrays or name == "direct":
        assert np.array_equal(chose.arrays["cnn+linear"], own)
    behind = {each: chose.figures[f"choice.{each}.behind"] for each in CANDIDATES}
    single = {each: ask(hospitals, start, each).figures["validation.auroc"] for each in CANDIDATES}
    assert behind == pytest.approx({each: max(single.values()) - value for each, value in single.items()}, abs=1e-9)
    assert reason(CANDIDATES, chose.figures).startswith(f"chose {name}, the lightest within one standard error")


def test_half_way_is_the_mean_of_two_models(hospitals: Path, start: dict[str, Flat]) -> None:
    full, half = (ask(hospitals, start, name).arrays["cnn+linear"] for name in ("full", "half-way"))
    assert np.allclose(half, (start["cnn+linear"] + full) / 2, atol=1e-8)
    assert not np.array_equal(half, full)


def test_too_few_to_choose_by_is_half_way(hospitals: Path, start: dict[str, Flat]) -> None:
    data = prepare(load_site(hospitals / "allegheny.toml"), MINILM)
    models = {name: ConceptCNN(data.table, SHAPE) for name in CANDIDATES}
    none = Encounters(data.splits["validation"].tokens[:0], torch.empty(0, dtype=torch.int64))
    verdict = choose(models, Stage(data.splits["train"], none, TRAINING, EVERYTHING, lambda n: n))
    assert (CANDIDATES[verdict.chosen], list(verdict.behind)) == ("half-way", [])


def test_a_site_that_keeps_auroc_back_keeps_the_distances_back(hospitals: Path, start: dict[str, Flat]) -> None:
    site = load_site(hospitals / "allegheny.toml")
    site = replace(site, policy=site.policy.model_copy(update={"metrics": ("brier",)}))
    task = Work(version=__version__, strategy="auto", embedding=MINILM, model=SHAPE, training=TRAINING, seed=7)
    answer = Agent([site]).answer(Request(task.model_dump_json(), dict(start)))
    assert [name for name in answer.figures if name.startswith("choice")] == ["choice"]
    assert "auroc" in answer.withheld
