"""The rule by which a target chooses its strategy, and that it then has what that strategy gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from client.agent import Agent
from client.choice import by_home, choose, judge
from client.preparation import prepare
from client.site_file import Site, load_site
from client.training import Stage, State, probabilities, train
from common import __version__
from common.choice import MARGIN, reason
from common.config import Training
from common.figures import check_figure, metric_of
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import CANDIDATES, EVERYTHING, STRATEGIES
from common.tasks import Answer, Embedding, Request, Work
from common.wire import Flat, pack, unpack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=1, epochs=2, batches=10, batch_size=32, optimiser="sgd", learning_rate=0.01)
ALONE = TRAINING.model_copy(update={"rounds": 2, "epochs": 4, "batches": 40, "dropout": 0.25})
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
    within = [behind <= min(error, MARGIN) for behind, error in zip(found.behind, found.errors, strict=True)]
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
    said = (
        "the lightest within one standard error of the best, and 0.005: direct 0.050 behind (error 0.020), linear best"
    )
    assert reason(names, figures) == f"chose linear, {said}"
    assert reason(names, {"choice": 0.0}).startswith("chose direct, with too few validation encounters")
    home = {"choice": 1.0, "choice.direct.behind": 0.25, "choice.direct.error": 0.05}
    assert reason(names, home).endswith("the sources' model does 0.250 (error 0.050) worse here than at home")
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


def nothing() -> State:
    """A model that has learnt nothing, with seed 7."""
    return initial_weights(384, SHAPE, derive(7, "init"))


def fresh() -> dict[str, Flat]:
    """The same, as a coordinator sends it."""
    return dict(pack(nothing(), EVERYTHING, 384, SHAPE))


def ask(hospitals: Path, start: dict[str, Flat], strategy: str, site: Site | None = None, **fields: Any) -> Answer:
    site = site or load_site(hospitals / "allegheny.toml")
    what = STRATEGIES[strategy]
    own = {"alone": ALONE, "home": 0.8} if what.candidates else {}
    task = Work(
        version=__version__,
        strategy=strategy,
        embedding=MINILM,
        model=SHAPE,
        training=None if not what.tuned else TRAINING if what.from_sources else ALONE,
        seed=7,
        score=("validation", "test"),
        **(own | fields),
    )
    return Agent([site]).answer(Request(task.model_dump_json(), dict(start)))


def scores(answer: Answer) -> dict[str, float]:
    return {name: value for name, value in answer.figures.items() if name.startswith("test.")}


def test_the_target_has_what_the_chosen_strategy_gives(hospitals: Path, start: dict[str, Flat]) -> None:
    chose = ask(hospitals, start, "auto")
    name = CANDIDATES[int(chose.figures["choice"])]
    alone = ask(hospitals, start if STRATEGIES[name].from_sources else fresh(), name)
    assert scores(chose) == scores(alone)
    own = alone.arrays.get("cnn+linear", start["cnn+linear"])
    if "cnn+linear" in alone.arrays or name == "direct":
        assert np.array_equal(chose.arrays["cnn+linear"], own)
    behind = {each: chose.figures[f"choice.{each}.behind"] for each in CANDIDATES}
    begun = {each: start if STRATEGIES[each].from_sources else fresh() for each in CANDIDATES}
    single = {each: ask(hospitals, begun[each], each).figures["validation.auroc"] for each in CANDIDATES}
    assert behind == pytest.approx({each: max(single.values()) - value for each, value in single.items()}, abs=1e-9)
    assert reason(CANDIDATES, chose.figures).startswith(f"chose {name}, the lightest within one standard error")


def test_a_model_from_which_nothing_can_be_learnt_leaves_training_alone(hospitals: Path) -> None:
    state = {name: torch.full_like(value, -9 if name == "conv.bias" else 0) for name, value in nothing().items()}
    dead = dict(pack(state, EVERYTHING, 384, SHAPE))  # no filter ever rises above zero
    chose, alone = ask(hospitals, dead, "auto"), ask(hospitals, fresh(), "local")
    assert reason(CANDIDATES, chose.figures).startswith("chose local")
    assert scores(chose) == scores(alone)
    site = load_site(hospitals / "allegheny.toml")
    moved = float(np.linalg.norm(chose.arrays["cnn+linear"] - fresh()["cnn+linear"]))
    for limit, code in ((moved * 1.01, "ok"), (moved * 0.99, "too-far")):  # from where it began, not from what came
        bounded = replace(site, policy=site.policy.model_copy(update={"max_change": limit}))
        assert ask(hospitals, dead, "auto", site=bounded).code == code


def test_training_alone_needs_its_section_and_keeps_to_the_policy(hospitals: Path, start: dict[str, Flat]) -> None:
    assert ask(hospitals, start, "auto", alone=None).code == "bad-task"
    assert ask(hospitals, start, "auto", alone=ALONE.model_copy(update={"rounds": 101})).code == "refused"


def test_half_linear_is_the_mean_of_two_heads(hospitals: Path, start: dict[str, Flat]) -> None:
    whole, half = (ask(hospitals, start, name).arrays["linear"] for name in ("linear", "half-linear"))
    came = start["cnn+linear"][-len(whole) :]
    assert len(whole) == 202
    assert np.allclose(half, (came + whole) / 2, atol=1e-8)
    assert not np.array_equal(half, whole)


def test_half_way_is_the_mean_of_two_models(hospitals: Path, start: dict[str, Flat]) -> None:
    full, half = (ask(hospitals, start, name).arrays["cnn+linear"] for name in ("full", "half-way"))
    assert np.allclose(half, (start["cnn+linear"] + full) / 2, atol=1e-8)
    assert not np.array_equal(half, full)


def test_too_few_to_choose_by(hospitals: Path, start: dict[str, Flat]) -> None:
    data = prepare(load_site(hospitals / "allegheny.toml"), MINILM)
    models = {name: ConceptCNN(data.table, SHAPE) for name in CANDIDATES}
    models["direct"].load_state_dict(unpack(start, EVERYTHING, 384, SHAPE))
    train, none = data.splits["train"], data.splits["validation"].first(0)
    stage = Stage(train, none, TRAINING, EVERYTHING, lambda n: n)
    verdict = choose(models, stage)
    assert (CANDIDATES[verdict.chosen], list(verdict.behind)) == ("half-linear", [])
    here = roc_auc_score(train.labels.numpy(), probabilities(models["direct"], train))
    for home, name in ((here - 0.1, "half-linear"), (here + 0.001, "half-linear"), (min(here + 0.2, 1), "local")):
        verdict = choose(models, stage, home)
        assert CANDIDATES[verdict.chosen] == name
        assert list(verdict.behind) == pytest.approx([max(home - here, 0)])


def test_worse_than_at_home_by_hand() -> None:
    labels, scores = np.array([0, 0, 1, 1] * 4)[:, None], np.tile([0.1, 0.8, 0.2, 0.9], 4)[:, None]
    error = np.sqrt(2 / 14 / 8)  # of an AUROC of 3/4, see above
    assert by_home(CANDIDATES, labels, scores, 0.7).behind == [0.0]
    assert [CANDIDATES[by_home(CANDIDATES, labels, scores, 0.75 + times * error).chosen] for times in (1.64, 1.65)] == [
        "half-linear",
        "local",
    ]
    assert by_home(CANDIDATES, labels, scores, 1.0).errors == pytest.approx([error])


def test_a_site_that_keeps_auroc_back_keeps_the_distances_back(hospitals: Path, start: dict[str, Flat]) -> None:
    site = load_site(hospitals / "allegheny.toml")
    site = replace(site, policy=site.policy.model_copy(update={"metrics": ("brier",)}))
    answer = ask(hospitals, start, "auto", site=site)
    assert [name for name in answer.figures if name.startswith("choice")] == ["choice"]
    assert "auroc" in answer.withheld
