"""What an agent tells of several classes or labels, and what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.agent import Agent
from client.check.cohort import look
from client.questions import questions_of
from client.site_file import load_site
from client.training import Encounters, Stage, probabilities, train, validation_auroc
from common import __version__
from common.config import Training
from common.errors import ConfigError
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import CANDIDATES, EVERYTHING, STRATEGIES
from common.tasks import Answer, Embedding, Greet, Request, Work
from common.wire import pack

WORDS = tuple(f"{code}_{value}" for code in ("cough", "fever") for value in "AMP")
ONE_HOT = Embedding(name="one-hot", normalisation="raw", unknown="mask", absence="text", vocabulary=WORDS)
VIRUSES = ModelShape(filters=6, classes=("flu", "rsv", "none"))
LABELS = ModelShape(filters=6, labels=("flu", "rsv"))
TRAINING = Training(rounds=1, epochs=1, batch_size=32, optimiser="sgd", learning_rate=0.05)
SITE = """\
name = "hill"
[cohort]
file = "hill.csv"
{label}
[cohort.findings]
spelling = "P/A/M"
columns = ["fever", "cough"]
[split]
by = "column"
column = "part"
test = ["test"]
validation = ["validation"]
"""
CLASSES = '[cohort.label]\ncolumn = "virus"\nclasses = { flu = ["flu"], rsv = ["rsv"], none = ["none"] }'
BOTH = "".join(f'[cohort.labels.{name}]\ncolumn = "{name}"\npositive = ["1"]\n' for name in ("flu", "rsv"))
Make = Callable[..., Agent]


@pytest.fixture
def hill(tmp_path: Path) -> Make:
    """An agent of a site with so many encounters of each class in each part; flu has fever, rsv cough, each mostly."""

    def make(label: str = CLASSES, policy: str = "", **counts: tuple[int, int, int]) -> Agent:
        draw = np.random.default_rng(0)
        rows = ["virus,flu,rsv,fever,cough,part"]
        for part in ("train", "validation", "test"):
            for virus, count in zip(("flu", "rsv", "none"), counts.get(part, (40, 40, 40)), strict=True):
                for _ in range(count):
                    signs = ["P" if draw.random() < (0.8 if virus == own else 0.3) else "A" for own in ("flu", "rsv")]
                    rows.append(",".join([virus, str(int(virus == "flu")), str(int(virus == "rsv")), *signs, part]))
        (tmp_path / "hill.csv").write_text("\n".join(rows) + "\n")
        (tmp_path / "hill.toml").write_text(SITE.format(label=label) + policy)
        return Agent([load_site(tmp_path / "hill.toml")])

    return make


def work(**changes: Any) -> Work:
    fields = {"version": __version__, "strategy": "full", "embedding": ONE_HOT, "model": VIRUSES, "seed": 1}
    fields |= {"training": TRAINING, "score": ("validation", "test"), "intervals": 100}
    return Work.model_validate(fields | changes)


def ask(agent: Agent, task: Work | Greet, shape: ModelShape = VIRUSES, start: int = 0) -> Answer:
    weights = pack(initial_weights(6, shape, start), EVERYTHING, 6, shape)
    return agent.answer(Request(task.model_dump_json(), dict(weights) if isinstance(task, Work) else {}))


@pytest.mark.parametrize(("label", "shape"), [(CLASSES, VIRUSES), (BOTH, LABELS)])
def test_each_against_the_rest_and_their_means(hill: Make, label: str, shape: ModelShape) -> None:
    answer = ask(hill(label), work(model=shape), shape)
    assert answer.code == "ok"
    assert answer.arrays["cnn+linear"].shape == (6 * 6 + 6 + 7 * shape.outputs,)
    for split in ("validation", "test"):
        for metric in ("auroc", "auprc", "brier", "calibration_slope"):
            each = [answer.figures[f"{split}.{name}.{metric}"] for name in shape.names]
            assert answer.figures[f"{split}.{metric}"] == pytest.approx(np.mean(each), abs=1e-12)
        assert [answer.figures[f"{split}.{name}.positive"] for name in shape.names] == [40] * shape.outputs
    assert answer.figures["test.auroc.low"] < answer.figures["test.auroc"] < answer.figures["test.auroc.high"]
    assert (
        answer.figures["test.rsv.brier.low"] < answer.figures["test.rsv.brier"] < answer.figures["test.rsv.brier.high"]
    )
    curve = {name: value for name, value in answer.figures.items() if name.startswith("test.flu.curve.")}
    assert sum(value for name, value in curve.items() if name.endswith(".n")) == 120
    assert sum(value for name, value in curve.items() if name.endswith(".positive")) == 40
    assert "test.sensitivity" not in answer.figures
    assert "threshold" not in answer.figures
    assert answer.withheld == ()


def test_a_class_of_few_is_in_no_mean(hill: Make) -> None:
    figures = ask(hill(test=(40, 40, 5)), work()).figures
    assert not [name for name in figures if name.startswith("test.none")]
    assert figures["test.auroc"] == pytest.approx((figures["test.flu.auroc"] + figures["test.rsv.auroc"]) / 2)
    assert figures["validation.none.positive"] == 40
    # 85 less 40 less 40 would tell of the 5
    assert not [name for name in figures if name.startswith("test.") and ("positive" in name or "curve" in name)]
    assert figures["test.n"] == 85


def test_labels_of_few_leave_the_others_counts(hill: Make) -> None:
    """Nobody is counted by counting others: an encounter may have any of the labels."""
    figures = ask(hill(BOTH, test=(40, 40, 5)), work(model=LABELS), LABELS).figures
    assert (figures["test.n"], figures["test.flu.positive"], figures["test.rsv.positive"]) == (85, 40, 40)
    answer = ask(hill(BOTH, test=(40, 5, 40)), work(model=LABELS), LABELS)
    assert answer.figures["test.flu.positive"] == 40
    assert answer.figures["test.flu.curve.00.n"] > 0
    assert "test.rsv.n" not in answer.figures
    assert answer.figures["test.auroc"] == answer.figures["test.flu.auroc"]


def test_classes_none_of_which_is_enough_are_withheld(hill: Make) -> None:
    answer = ask(hill(test=(5, 5, 5)), work())
    assert answer.code == "ok"
    assert not [name for name in answer.figures if name.startswith("test.")]
    assert answer.withheld == ("auroc", "auprc", "brier", "calibration_intercept", "calibration_slope", "curve")


def test_a_policy_holds_for_every_class(hill: Make) -> None:
    answer = ask(hill(policy='[policy]\nmetrics = ["auroc"]\n'), work())
    told = {name.split(".")[-1] for name in answer.figures}
    assert told == {"auroc", "low", "high", "n", "positive", "num-examples"}
    assert "curve" in answer.withheld


@pytest.mark.parametrize(("train", "code"), [((40, 40, 0), "ok"), ((40, 40, 5), "too-few"), ((40, 5, 0), "too-few")])
def test_nobody_learns_from_a_class_of_few(hill: Make, train: tuple[int, int, int], code: str) -> None:
    assert ask(hill(train=train), work()).code == code


@pytest.mark.parametrize(
    ("label", "model", "words"),
    [
        (
            CLASSES,
            ModelShape(filters=6),
            "cohort.label has the classes flu, rsv, none; the federation predicts two classes",
        ),
        (
            CLASSES,
            ModelShape(filters=6, classes=("rsv", "flu", "none")),
            "the federation predicts the classes rsv, flu, none",
        ),
        (BOTH, VIRUSES, "cohort.labels has the labels flu, rsv; the federation predicts the classes flu, rsv, none"),
    ],
)
def test_another_label_is_refused_before_data_is_touched(
    hill: Make, caplog: pytest.LogCaptureFixture, label: str, model: ModelShape, words: str
) -> None:
    agent = hill(label)
    (agent.sites[0].files[0]).unlink()
    with caplog.at_level(logging.ERROR, "sitebridge.site"):
        greeted = ask(agent, Greet(version=__version__, embedding=ONE_HOT, model=model))
        worked = ask(agent, work(model=model), model)
    assert (greeted.code, worked.code) == ("other-label", "other-label")
    assert all(words in record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 2


def test_a_greeting_of_the_same_label(hill: Make) -> None:
    assert ask(hill(), Greet(version=__version__, embedding=ONE_HOT, model=VIRUSES)).code == "ok"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold": 0.3}, "the model predicts the classes flu, rsv, none; only two classes have one"),
        ({"choose_threshold": True}, "only two classes have one"),
        ({"prevalence": (0.3,)}, "prevalence: 1 numbers; the model predicts the classes flu, rsv, none"),
    ],
)
def test_what_is_for_two_classes_only(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        work(**change)


def tiny(shape: ModelShape, count: int = 60) -> tuple[ConceptCNN, Encounters]:
    model = ConceptCNN(torch.cat([torch.zeros(1, 4), torch.eye(4)]), shape)
    model.load_state_dict(initial_weights(4, shape, 0))
    draw = torch.Generator().manual_seed(1)
    tokens = torch.stack(
        [torch.randint(1, 3, (count,), generator=draw), torch.randint(3, 5, (count,), generator=draw)], 1
    )
    return model, Encounters(tokens.int(), (tokens[:, 0] - 1 + (tokens == 4).any(1)).long())


def test_one_probability_is_of_two_classes() -> None:
    model, data = tiny(VIRUSES)
    with pytest.raises(ConfigError, match="for two classes only; the model predicts the classes flu, rsv, none"):
        probabilities(model, data)


def test_the_best_is_chosen_by_the_mean_over_classes_with_enough() -> None:
    model, data = tiny(VIRUSES)
    counts = torch.bincount(data.labels)
    asked = questions_of(model, data, int(counts.min()) + 1)
    assert len(asked.names) == 2
    figures = asked.figures(0, [0, 0])
    assert validation_auroc(model, data, int(counts.min()) + 1) == figures["auroc"]
    assert validation_auroc(model, data, 60) is None
    whole = validation_auroc(model, data)
    assert whole is not None
    assert whole != figures["auroc"]
    train(model, Stage(data, data, TRAINING.model_copy(update={"epochs": 30}), EVERYTHING, lambda number: number))
    after = validation_auroc(model, data)
    assert after is not None
    assert after > whole
    assert after > 0.95


def test_the_check_names_classes_of_few(hill: Make) -> None:
    said = list(look(hill(train=(40, 40, 5), test=(40, 5, 40)).sites[0]))
    train_part, _, test_part = said[1:4]
    assert train_part[0] == test_part[0] == "warn"
    assert train_part[1] == (
        "train: 85 encounters, 40 flu (47.1%), 40 rsv (47.1%), 5 none (5.9%); fewer than 11 (min-cell) with or without "
        "none: nothing of it leaves; nothing is trained here"
    )
    assert test_part[1].endswith("without rsv: nothing of it leaves")


def test_a_target_chooses_by_the_mean_of_what_may_be_told(hill: Make) -> None:
    """As far behind as the validation AUROCs that each candidate tells by itself, a class of few left out."""
    agent = hill(validation=(40, 40, 5))
    chose = ask(agent, work(strategy="auto", alone=TRAINING)).figures
    tuned = {name: None if name == "direct" else TRAINING for name in CANDIDATES}
    begun = {name: 0 if STRATEGIES[name].from_sources else derive(1, "init") for name in CANDIDATES}
    alone = {
        name: ask(agent, work(strategy=name, training=own), start=begun[name]).figures for name, own in tuned.items()
    }
    scores = {name: figures["validation.auroc"] for name, figures in alone.items()}
    assert "validation.none.auroc" not in alone["full"]
    behind = {name: chose[f"choice.{name}.behind"] for name in CANDIDATES}
    assert behind == pytest.approx({name: max(scores.values()) - score for name, score in scores.items()}, abs=1e-9)
    assert max(behind.values()) > 0
