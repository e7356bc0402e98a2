"""What an agent does, refuses, and never says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.site_file import load_site
from common import __version__
from common.config import Training
from common.model import initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import FAILURES, Answer, Arrays, Embedding, Greet, Request, Work
from common.wire import pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=1, epochs=1, batches=4, batch_size=32, optimiser="sgd", learning_rate=0.01)
SHAPE = ModelShape()
Edit = Callable[[str], str]


def weights(dimension: int = 384) -> Arrays:
    return dict(pack(initial_weights(dimension, SHAPE, 0), EVERYTHING, dimension, SHAPE))


def work(**changes: Any) -> Work:
    fields = {
        "version": __version__,
        "run": "r",
        "strategy": "full",
        "embedding": MINILM,
        "model": SHAPE,
        "training": TRAINING,
        "seed": 1,
        "score": ("validation", "test"),
        "threshold": 0.3,
    }
    return Work.model_validate(fields | changes)


@pytest.fixture
def agent(hospitals: Path) -> Agent:
    return Agent([load_site(hospitals / "allegheny.toml")])


@pytest.fixture
def edited(hospitals: Path, tmp_path: Path) -> Callable[[Edit, Edit], Agent]:
    """An agent whose site file and table were changed."""

    def make(site_file: Edit, table: Edit) -> Agent:
        (tmp_path / "allegheny.csv").write_text(table((hospitals / "allegheny.csv").read_text()))
        path = tmp_path / "allegheny.toml"
        path.write_text(site_file((hospitals / "allegheny.toml").read_text()))
        return Agent([load_site(path)])

    return make


def same(text: str) -> str:
    return text


def ask(agent: Agent, task: Work | Greet, arrays: Arrays | None = None) -> Answer:
    return agent.answer(Request(task.model_dump_json(), weights() if arrays is None else arrays))


@pytest.mark.parametrize(
    ("strategy", "returned", "size"),
    [("direct", None, 0), ("local", None, 0), ("linear", "linear", 202), ("full", "cnn+linear", 38_702)],
)
def test_a_strategy_decides_what_comes_back(agent: Agent, strategy: str, returned: str | None, size: int) -> None:
    answer = ask(agent, work(strategy=strategy, training=None if strategy == "direct" else TRAINING))
    assert answer.code == "ok"
    assert {name: values.size for name, values in answer.arrays.items()} == ({returned: size} if returned else {})
    assert 0 < answer.figures["test.auroc"] <= 1
    assert answer.figures["test.n"] == 500


def test_direct_changes_nothing_and_linear_only_the_head(agent: Agent) -> None:
    first = ask(agent, work(strategy="direct", training=None)).figures
    assert ask(agent, work(strategy="direct", training=None)).figures == first
    before = weights()["cnn+linear"]
    after = ask(agent, work(strategy="linear")).arrays["linear"]
    assert not np.array_equal(before[-202:], after)
    full = ask(agent, work(strategy="full")).arrays["cnn+linear"]
    assert not np.array_equal(before[:-202], full[:-202])


def test_the_head_on_pooled_filters_learns_what_the_frozen_network_does(agent: Agent) -> None:
    """Linear tuning computes the frozen CNN's filters once; the head must be that of computing them every step."""
    from client.training import Stage, optimiser, snapshot, train_round
    from common.model import ConceptCNN
    from common.wire import unpack

    data = agent._prepare(MINILM)
    states = []
    for pooled_once in (True, False):
        model = ConceptCNN(data.table, SHAPE, 0.0)
        model.load_state_dict(unpack(weights(), EVERYTHING, 384, SHAPE))
        train_split, validation = data.splits["train"], data.splits["validation"]
        training = TRAINING.model_copy(update={"dropout": 0.0})
        if pooled_once:
            train_round(model, Stage(train_split, validation, training, ("linear",), lambda number: 3), 1)
        else:
            import torch

            from client.training import batches

            generator = torch.Generator().manual_seed(3)
            head = optimiser(list(model.linear.parameters()), training)
            for chosen in next(batches(len(train_split), training, generator)):
                loss = torch.nn.functional.cross_entropy(model(train_split.tokens[chosen]), train_split.labels[chosen])
                head.zero_grad()
                loss.backward()
                head.step()
        states.append(snapshot(model))
    for name, value in states[0].items():
        np.testing.assert_allclose(value.numpy(), states[1][name].numpy(), atol=1e-6, err_msg=name)


def test_fedprox_pulls_towards_what_came(agent: Agent) -> None:
    task = work(strategy="source", score=(), training=TRAINING.model_copy(update={"rounds": 2}))
    before = weights()["cnn+linear"]
    moved = [
        np.linalg.norm(agent.answer(Request(task.model_dump_json(), weights(), mu)).arrays["cnn+linear"] - before)
        for mu in (0.0, 50.0)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_a_greeting_says_space_and_words_and_needs_no_data(edited: Callable[[Edit, Edit], Agent]) -> None:
    header_only = lambda text: text.splitlines()[0] + "\n"  # noqa: E731
    answer = ask(edited(same, header_only), Greet(version=__version__, embedding=MINILM), {})
    facts = json.loads(answer.facts)
    assert facts["fingerprint"]["dimension"] == 384
    assert "C0231528_P" in facts["vocabulary"]


def policy(line: str) -> Edit:
    return lambda text: text.split("[policy]")[0] + f"[policy]\n{line}\n"


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ('strategies = ["direct"]', work(strategy="full")),
        ("max_epochs = 3", work(training=TRAINING.model_copy(update={"epochs": 4}))),
        ("max_rounds = 3", work(training=TRAINING.model_copy(update={"rounds": 4}))),
        ("max_rounds = 3", work(strategy="source", round=4)),
    ],
)
def test_the_sites_policy_is_asked_before_its_data(
    edited: Callable[[Edit, Edit], Agent], line: str, task: Work
) -> None:
    spoilt = edited(policy(line), lambda text: text.replace(",P", ",what is this"))
    assert ask(spoilt, task).code == "refused"


def figures(agent: Agent, **changes: Any) -> dict[str, float]:
    return ask(agent, work(strategy="direct", training=None, choose_threshold=True, **changes)).figures


def test_few_patients_stay_home(edited: Callable[[Edit, Edit], Agent], agent: Agent) -> None:
    """One patient more than there are in the smaller class of a split, and nothing of that split leaves."""
    positive = int(figures(agent)["test.positive"])
    assert "test.auroc" in figures(edited(policy(f"min_cell = {positive}"), same))
    silent = figures(edited(policy(f"min_cell = {positive + 1}"), same))
    assert not [name for name in silent if name.startswith("test") or name == "threshold"]
    trained = int((agent._prepare(MINILM).splits["train"].labels == 1).sum())
    large = work(training=TRAINING.model_copy(update={"batch_size": 1000}))
    assert ask(edited(policy(f"min_cell = {trained}"), same), large).code == "ok"
    assert ask(edited(policy(f"min_cell = {trained + 1}"), same), large).code == "too-few"


def test_one_step_on_few_patients_is_refused(agent: Agent) -> None:
    """The change of weights by a step on one patient is that patient's tokens."""
    for size, code in ((10, "refused"), (11, "ok")):
        assert ask(agent, work(training=TRAINING.model_copy(update={"batch_size": size}))).code == code


def test_a_sensitivity_behind_which_few_were_called_stays_home(agent: Agent) -> None:
    from client.scores import figures_of
    from client.training import probabilities
    from common.model import ConceptCNN

    data = agent._prepare(MINILM)
    model = ConceptCNN(data.table, SHAPE, 0.0)
    model.load_state_dict(initial_weights(384, SHAPE, 0))
    test = data.splits["test"]
    positives = np.sort(probabilities(model, test)[test.labels.numpy() == 1])
    for missed in (5, 10, 11):
        at = float((positives[missed - 1] + positives[missed]) / 2)
        rounded = int((positives < round(at, 3)).sum())
        found = figures_of(model, test, at, 0, 0, min_cell=11).figures
        assert ("sensitivity" in found) == (rounded == 0 or rounded >= 11)
    for caught in (5, 10, 40):
        at = float((positives[-caught] + positives[-caught - 1]) / 2)
        counted = int((positives >= round(at, 3)).sum())
        found = figures_of(model, test, at, 0, 0, min_cell=11).figures
        assert ("sensitivity" in found) == (counted == 0 or counted >= 11)


def test_one_hot_over_part_of_a_sites_words_is_refused(agent: Agent) -> None:
    """An answer that depended on which tokens occur would tell which a patient has."""
    words = sorted({token.name for token in agent.sites[0].vocabulary})
    codes = set()
    for left_out in (words[0], words[40], words[120]):
        part = tuple(set(words) - {left_out})
        some = Embedding(name="one-hot", normalisation="raw", unknown="mask", absence="text", vocabulary=part)
        codes.add(ask(agent, work(embedding=some), weights(len(words) - 1)).code)
    assert codes == {"bad-table"}


def test_training_that_diverges_says_so(agent: Agent) -> None:
    wild = TRAINING.model_copy(update={"learning_rate": 10.0, "weight_decay": 10.0, "batches": 2000})
    for strategy in ("local", "full"):
        assert ask(agent, work(strategy=strategy, training=wild)).code == "diverged"


@pytest.mark.parametrize(
    "change",
    [{"intervals": 1}, {"intervals": 10**9}, {"intervals": -5}, {"threshold": 7}, {"model": {"filters": 10**9}}],
)
def test_a_task_out_of_bounds_is_not_begun(agent: Agent, change: dict[str, Any]) -> None:
    task = json.loads(work().model_dump_json()) | change
    assert agent.answer(Request(json.dumps(task), weights())).code == "bad-task"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request("{"), "bad-task"),
        (Request("[]"), "bad-task"),
        (Request(json.dumps({"kind": "work"})), "bad-task"),
        (Request(work(version="0.0.0").model_dump_json(), weights()), "bad-task"),
        (Request(work(strategy="everything").model_dump_json(), weights()), "bad-task"),
        (Request(work(training=None).model_dump_json(), weights()), "bad-task"),
        (Request(work().model_dump_json(), {}), "bad-task"),
        (Request(work().model_dump_json(), weights(100)), "bad-task"),
        (Request(work().model_dump_json(), {**weights(), "table": np.ones(3)}), "bad-task"),
        (Request(work(embedding=MINILM.model_copy(update={"name": "bert"})).model_dump_json(), weights()), "bad-table"),
    ],
)
def test_what_does_not_fit_is_answered_by_a_code(agent: Agent, request_: Request, code: str) -> None:
    answer = agent.answer(request_)
    assert (answer.code, answer.figures, answer.arrays, answer.facts) == (code, {}, {}, "")
    assert code in FAILURES


def test_no_word_of_an_exception_leaves(edited: Callable[[Edit, Edit], Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "Jane Roe"
    spoilt = edited(same, lambda text: text.replace(",P", f",{secret}", 1))
    answer = ask(spoilt, work())
    assert answer.code == "bad-cohort"
    assert secret not in repr(answer)

    def explode(*_: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr("client.agent.prepare", explode)
    answer = ask(edited(same, same), work())
    assert answer.code == "failed"
    assert secret not in repr(answer)
