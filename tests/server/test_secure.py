"""The coordinator's part of a secure round: what it takes from sites that err or lie, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from common.config import Federation
from common.errors import SiteError
from common.figures import WEIGHT
from common.secure.fixed import Update
from common.tasks import Answer, Request
from server.secure import mean_of
from server.simulate import run

Change = Callable[[Answer], Answer]


@pytest.fixture
def checked(federation: Callable[..., Federation], clinics: dict[str, dict[str, str]]) -> Federation:
    return federation(
        embeddings=["one-hot"],
        strategies=["direct"],
        sites={name: clinics[name] for name in "abc"},
        directions=[{"sources": [*"abc"]}],
        training={"rounds": 1, "epochs": 1, "batches": 2, "batch_size": 64},
        aggregation={"secure": True},
        failures={"retries": 0},
    )


def said(checked: Federation, folder: Path, stage: str, change: Change) -> str:
    """Run with a site b that changes its answer at a stage; give why the run stopped."""
    real = Agent.answer

    def answer(self: Agent, request: Request) -> Answer:
        given = real(self, request)
        asked = json.loads(request.task)
        if self.name != "b" or (asked.get("secure") or {}) is True:
            return given
        at = asked["kind"] if asked["kind"] == "greet" else (asked["secure"] or {"stage": ""})["stage"]
        return change(given) if at == stage else given

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", answer)
        with pytest.raises(SiteError) as error:
            run(checked, folder / "federation.toml", folder / "run")
    return str(error.value)


def facts(key: str, make: Callable[[Any], Any]) -> Change:
    """Change one key of what a site says."""

    def change(answer: Answer) -> Answer:
        content = json.loads(answer.facts)
        content[key] = make(content[key])
        return replace(answer, facts=json.dumps(content))

    return change


def masked(make: Callable[[Any], Any]) -> Change:
    return lambda answer: replace(answer, arrays={"masked": make(answer.arrays["masked"])})


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        ("mask", masked(lambda words: words.astype(np.float32)), "expected the array masked of"),
        ("mask", masked(lambda words: words[:-1]), "expected the array masked of"),
        (
            "mask",
            lambda answer: replace(answer, arrays={"o": answer.arrays["masked"]}),
            "expected the array masked",
        ),
        ("mask", lambda answer: replace(answer, figures={WEIGHT: 9.0}), "figures beside a masked update"),
        ("mask", lambda answer: replace(answer, facts="{}"), "is not what a secure round asks for (masked)"),
        ("mask", facts("sealed", without("a")), "sealed shares are not for every other site"),
        ("mask", facts("sealed", lambda own: own | {"b": own["a"]}), "sealed shares are not for every other site"),
        ("open", facts("own", without("a")), "shares are not of those that are asked for"),
        ("open", facts("own", lambda own: own | {"a": "f" * 64}), "is not what a secure round asks for (opened)"),
        ("open", lambda answer: replace(answer, figures={WEIGHT: 9.0}), "arrays or figures beside shares"),
    ],
)
def test_an_answer_of_another_form_is_a_failure_of_that_site(
    checked: Federation, tmp_path: Path, stage: str, change: Change, words: str
) -> None:
    text = said(checked, tmp_path, stage, change)
    assert "round 1: site b: answered with something that cannot be used" in text
    assert words in text
    assert "site a" not in text


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("mask", masked(lambda words: words + np.uint64(1 << 60))),
        ("open", facts("own", lambda own: own | {"a": "0" * 64})),
    ],
)
def test_numbers_that_are_no_sum_stop_the_run_without_blaming_one(
    checked: Federation, tmp_path: Path, stage: str, change: Change
) -> None:
    text = said(checked, tmp_path, stage, change)
    assert "round 1: the sum is none that sites within their bounds can give" in text
    assert "one of a, b, c sent what is no update, or wrong shares: a secure sum does not tell which" in text


def test_shares_sealed_for_somebody_else_are_found_by_who_cannot_open_them(checked: Federation, tmp_path: Path) -> None:
    text = said(checked, tmp_path, "mask", facts("sealed", lambda own: own | {"a": own["c"], "c": own["a"]}))
    assert "site a: the task or its weights do not fit" in text
    assert "sealed shares of another round or site, or changed on their way" in text


def test_one_answer_stands_for_the_mean() -> None:
    came = np.array([1.0, -2.0], np.float32)
    answer = mean_of(Update(np.array([0.25, 2.0**-40]), 900.0), came)
    assert answer.arrays["cnn+linear"].tolist() == [1.25, -2.0 + 2.0**-40]  # float64: rounded once, after joining
    assert answer.figures == {WEIGHT: 900.0}
