"""A site's mean embedding: what it is of, that its noise is drawn once, and what the policy allows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.agent import Agent
from client.asked import describe
from client.likeness import as_seen, noised, of_patients
from client.policy import Policy
from client.preparation import Prepared, prepare
from client.releases import RELEASES, Releases
from client.sheet import render
from client.site_file import load_site
from client.training import Encounters
from common import __version__
from common.config import Federation
from common.errors import ConfigError
from common.figures import WEIGHT, check_figure
from common.gaussian import mu_of
from common.likeness import FURTHEST, LIKENESS, MEAN, NOISE, NUMBERS, Likeness, projection
from common.shape import ModelShape
from common.tasks import Answer, Embedding, Greet, Request, Work

MINILM = Embedding(name="minilm", normalisation="raw", unknown="keep", absence="text")
Site = Any  # the fixture's class


def task(epsilon: float = 1.0, **changes: Any) -> Request:
    fields = {"version": __version__, "run": "r", "session": 1, "strategy": LIKENESS, "embedding": MINILM, "seed": 1}
    fields |= {"model": ModelShape(), "training": None, "likeness": Likeness(epsilon=epsilon)}
    return Request(Work.model_validate(fields | changes).model_dump_json())


def agent(hospitals: Path, folder: Path | None = None, policy: Likeness | None = None, **changes: Any) -> Agent:
    site = load_site(hospitals / "allegheny.toml")
    own = Likeness(epsilon=1.0) if policy is None else policy
    allowed = site.policy.model_copy(update={"likeness": own, **changes})
    return Agent([replace(site, policy=allowed)], releases=Releases(folder))


def values(answer: Answer) -> list[float]:
    assert answer.code == "ok"
    return [float(value) for value in answer.arrays[MEAN]]


def made(tokens: list[list[int]], patients: list[int] | None = None) -> tuple[Encounters, Prepared]:
    """Encounters over a table of three tokens."""
    table = torch.zeros(4, 5)
    table[1:] = torch.tensor([[1.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0], [0, 0, 0, -1.0, 1.0]])
    whose = None if patients is None else torch.tensor(patients)
    encounters = Encounters(torch.tensor(tokens, dtype=torch.uint8), torch.zeros(len(tokens), dtype=torch.int64), whose)
    return encounters, Prepared(table, {"train": encounters})


def direction(*rows: list[float]) -> np.ndarray:  # type: ignore[type-arg]
    seen = np.array(rows) @ projection(5)
    lengths = np.linalg.norm(seen, axis=1, keepdims=True)
    return np.asarray(seen / np.where(lengths > 0, lengths, 1))


def test_a_patient_is_the_mean_of_encounters_of_length_one() -> None:
    one, both, nobody = [1.0, 0, 0, 0, 0], [1.0, 2, 0, 0, 0], [0.0] * 5
    each = of_patients(*made([[1, 0], [1, 2], [0, 0]]))
    np.testing.assert_allclose(each, direction(one, both, nobody), atol=1e-12)
    whose = of_patients(*made([[1, 0], [1, 2], [0, 0]], [9, -4, 9]))
    np.testing.assert_allclose(whose, [direction(both)[0], direction(one)[0] / 2], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_patient_moves_the_mean_no_further_than_the_noise_reckons_with(data: st.DataObject) -> None:
    rows = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=12)
    tokens = data.draw(rows)
    patients = data.draw(st.lists(st.integers(0, 3), min_size=len(tokens), max_size=len(tokens)))
    before = of_patients(*made(tokens, patients))
    other = data.draw(rows)
    kept = [i for i, whose in enumerate(patients) if whose != patients[0]]
    exchanged = [tokens[i] for i in kept] + other, [patients[i] for i in kept] + [patients[0]] * len(other)
    after = of_patients(*made(*exchanged))
    assert len(after) == len(before)
    assert np.linalg.norm(before.mean(0) - after.mean(0)) <= FURTHEST / len(before) + 1e-12


def test_the_mean_with_its_noise_is_near_the_mean(hospitals: Path) -> None:
    site = load_site(hospitals / "allegheny.toml")
    data = prepare(site, as_seen(MINILM))
    exact = of_patients(data.splits["train"], data).mean(axis=0)
    answer = agent(hospitals, policy=Likeness(epsilon=50.0)).answer(task(epsilon=50.0))
    count = len(data.splits["train"])
    noise = FURTHEST / count / mu_of(50.0, 1e-5)
    assert answer.figures == {WEIGHT: count, NOISE: pytest.approx(noise)}
    assert 0 < np.abs(values(answer) - exact).max() < 6 * noise
    check_figure(NOISE, answer.figures[NOISE])


def test_noise_is_normal_and_never_the_same() -> None:
    drawn = np.array([noised(np.zeros(NUMBERS), 0.5) for _ in range(400)])
    assert drawn.std() == pytest.approx(0.5, rel=0.03)
    assert abs(drawn.mean()) < 0.02
    assert len(np.unique(drawn[:, 0])) == 400


def test_asked_again_it_is_the_same_mean_whoever_asks(hospitals: Path, tmp_path: Path) -> None:
    first = agent(hospitals, tmp_path).answer(task())
    again = agent(hospitals, tmp_path)  # after a restart
    for request in (task(), task(run="another", seed=5), task(epsilon=0.5)):
        assert values(again.answer(request)) == values(first)
        assert again.answer(request).figures == first.figures
    assert len(json.loads((tmp_path / RELEASES).read_text())["releases"]) == 1
    assert values(agent(hospitals, tmp_path / "other").answer(task())) != values(first)


def test_it_is_on_disk_before_it_is_told(hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("client.releases.write_atomically", full)
        assert agent(hospitals, tmp_path).answer(task()).code == "failed"
    assert not (tmp_path / RELEASES).exists()


def test_all_means_together_stay_within_the_policy(
    hospitals: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one_hot = Embedding(
        name="one-hot", normalisation="raw", unknown="mask", absence="text",
        vocabulary=tuple(token.name for token in load_site(hospitals / "allegheny.toml").vocabulary),
    )  # fmt: skip
    tight = agent(hospitals, tmp_path)
    assert tight.answer(task()).code == "ok"
    assert tight.answer(task(embedding=one_hot)).code == "refused"
    said = (
        "policy.likeness.epsilon is 1 at delta 1e-05 for all means that this site tells; with this one it would be 1.4"
    )
    assert said in caplog.text
    wide = agent(hospitals, tmp_path, Likeness(epsilon=1.5))
    assert wide.answer(task(embedding=one_hot)).code == "ok"
    assert wide.answer(task(epsilon=0.01, embedding=one_hot)).code == "ok"  # told before
    assert tight.answer(task()).code == "ok"  # in its own memory there is one
    assert agent(hospitals, tmp_path).answer(task()).code == "refused"  # the policy was tightened since


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"likeness": None}, "no [policy.likeness], so that no mean of embeddings leaves"),
        ({"min_cell": 5000}, "training patients, fewer than min_cell"),
    ],
)
def test_what_the_policy_does_not_allow_stays(
    hospitals: Path, change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = agent(hospitals, **change).answer(task())
    assert (answer.code, answer.arrays, answer.figures) == ("refused" if "likeness" in change else "too-few", {}, {})
    assert words in caplog.text
    assert Policy().likeness is None


def test_a_task_without_its_cost_and_pooled_sites_are_refused(hospitals: Path) -> None:
    assert agent(hospitals).answer(task(likeness=None)).code == "bad-task"
    sites = [*agent(hospitals).sites, *agent(hospitals).sites]
    assert Agent(sites).answer(task()).code == "bad-task"


def test_a_deployed_site_tells_it_once_and_writes_it_down(site: Site) -> None:
    site.policy("likeness = { epsilon = 1.0 }")
    site.start()
    greet = Greet(version=__version__, run="r", session=1, embedding=MINILM).model_dump_json()
    site.ask(Request(greet))
    first = site.ask(task())
    site.end()
    site.start()
    assert values(site.ask(task())) == values(first)
    assert (site.agent / RELEASES).stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in (site.agent / "audit.jsonl").read_text().splitlines()]
    out = [line for line in lines if "mean" in json.dumps(line) and '"out"' in json.dumps(line)]
    assert len(out) == 2


def test_a_file_that_is_no_memory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / RELEASES).write_text("{}x")
    with pytest.raises(ConfigError, match="put back the file, or remove it to begin a new one"):
        Releases(tmp_path)


def test_the_sheet_and_the_approval_say_it(hospitals: Path, federation: Any) -> None:
    checked: Federation = federation(
        aggregation={"weights": "likeness", "likeness": {"epsilon": 0.5}},
        directions=[{"sources": ["allegheny"], "targets": ["salt-lake"]}],
    )
    lines = "\n".join(describe(checked, "allegheny", Policy()))
    assert "32 numbers with noise (epsilon 0.5, delta 1e-05 of differential privacy for each patient), once" in lines
    assert "your policy.likeness is not given: no mean leaves, and the run will stop" in lines
    allowing = agent(hospitals).sites[0]
    assert "cost each patient at most epsilon 1 at delta 1e-05" in render(allowing)
    assert "differential privacy" not in render(load_site(hospitals / "allegheny.toml"))
