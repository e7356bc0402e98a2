"""An agent under a budget: what it charges, refuses, holds back, and what no patient decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.privacy.accounting import Charge, epsilon_of, noise_for
from client.privacy.ledger import together
from client.privacy.protection import population_of
from client.site_file import load_site
from common import __version__
from common.config import Training
from common.model import initial_weights
from common.privacy import Privacy
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import FAILURES, Answer, Embedding, Request, Work
from common.wire import pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
SHAPE = ModelShape()
TRAINING = Training(rounds=3, epochs=2, batches=4, batch_size=100, optimiser="sgd", learning_rate=0.1)
NOISE = Privacy(noise_multiplier=2.0, clip=0.5)
Make = Callable[..., Agent]


def weights() -> dict[str, Any]:
    return dict(pack(initial_weights(384, SHAPE, 0), EVERYTHING, 384, SHAPE))


def work(**changes: Any) -> Work:
    fields = {
        "version": __version__,
        "run": "r",
        "strategy": "source",
        "embedding": MINILM,
        "model": SHAPE,
        "training": TRAINING,
        "seed": 1,
        "privacy": NOISE,
    }
    return Work.model_validate(fields | changes)


def ask(agent: Agent, **changes: Any) -> Answer:
    return agent.answer(Request(work(**changes).model_dump_json(), weights()))


@pytest.fixture
def make(hospitals: Path, tmp_path: Path) -> Make:
    """An agent with more lines in its policy, and, where it is asked for, an edited table."""

    def made(policy: str = "", edit: Callable[[str], str] = lambda text: text, head: str = "") -> Agent:
        (tmp_path / "allegheny.csv").write_text(edit((hospitals / "allegheny.csv").read_text()))
        path = tmp_path / "allegheny.toml"
        text = (hospitals / "allegheny.toml").read_text()
        path.write_text(
            text.replace("[cohort]\n", f"[cohort]\n{head}", 1) + f"\n[policy.privacy]\n{policy}\n" * bool(policy)
        )
        return Agent([load_site(path)])

    return made


def spent(agent: Agent) -> list[Charge]:
    return together(agent.ledger.spent(population_of(agent.sites[0])))


def rate(agent: Agent) -> float:
    return 100 / len(agent._prepare(MINILM).splits["train"])


def test_every_round_is_charged_and_the_last_one_refused(make: Make) -> None:
    agent = make()
    one = Charge(rate(agent), 2.0, 8)
    cost = epsilon_of([Charge(one.rate, 2.0, 16)], 1e-5)
    agent = make(f"epsilon = {cost + 0.001}")
    answers = [ask(agent, round=number) for number in (1, 2, 3)]
    assert [answer.code for answer in answers] == ["ok", "ok", "budget-spent"]
    assert spent(agent) == [Charge(one.rate, 2.0, 16)]
    assert (answers[2].figures, answers[2].arrays) == ({}, {})


def test_another_federation_finds_what_is_left(make: Make) -> None:
    agent = make("epsilon = 1.0")
    assert ask(agent, federation="a" * 64, run="one").code == "ok"
    first = spent(agent)
    assert ask(agent, federation="b" * 64, run="two", seed=9).code == "ok"
    assert [charge.steps for charge in spent(agent)] == [2 * first[0].steps]


@pytest.mark.parametrize(
    ("strategy", "rounds"), [("local", 3), ("full", 3), ("linear", 3), ("l2-sp", 3), ("half-way", 3), ("layer-wise", 6)]
)
def test_a_target_is_charged_for_all_it_trains(make: Make, strategy: str, rounds: int) -> None:
    agent = make()
    assert ask(agent, strategy=strategy).code == "ok"
    assert spent(agent) == [Charge(rate(agent), 2.0, 8 * rounds)]


def test_an_epsilon_that_is_asked_for_is_that_of_the_whole_training(make: Make) -> None:
    agent = make()
    for number in (1, 2, 3):
        assert ask(agent, privacy=Privacy(epsilon=2.0, clip=0.5), round=number).code == "ok"
    assert spent(agent) == [Charge(rate(agent), noise_for(2.0, 1e-5, rate(agent), 24), 24)]
    assert 1.98 < epsilon_of(spent(agent), 1e-5) <= 2.0


def test_noise_is_asked_for_where_the_policy_wants_it(make: Make) -> None:
    agent = make("epsilon = 5.0")
    assert ask(agent, privacy=None).code == "not-private"
    for strategy in ("intercept", "recalibrate", "auto", "full", "local"):
        assert ask(agent, strategy=strategy, privacy=None).code == "not-private"
    assert ask(agent, strategy="direct", privacy=None, training=None).code == "ok"
    assert ask(make("epsilon = 5.0\nrequired = false"), privacy=None).code == "ok"


@pytest.mark.parametrize("changes", [{"strategy": "auto"}, {"strategy": "intercept"}, {"model": ModelShape(kernel=3)}])
def test_what_has_no_noise_cannot_be_asked_for_with_noise(make: Make, changes: dict[str, Any]) -> None:
    task = json.loads(work().model_dump_json()) | {
        name: value.model_dump() if isinstance(value, ModelShape) else value for name, value in changes.items()
    }
    assert make().answer(Request(json.dumps(task), weights())).code == "bad-task"


def test_two_answers_differ_and_no_seed_brings_the_first_back(make: Make) -> None:
    agent = make()
    first, second = (ask(agent).arrays["cnn+linear"] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.isfinite(first).all()


def test_scores_under_a_budget_are_noised_charged_and_without_intervals(make: Make) -> None:
    scored: dict[str, Any] = {"strategy": "direct", "training": None, "score": ("validation", "test"), "intervals": 100}
    agent = make("epsilon = 5.0\nmetrics_noise = 3.0")
    first, second = (ask(agent, **scored).figures for _ in range(2))
    assert spent(agent) == [Charge(1.0, 3.0, 2)]
    assert first["test.n"] != second["test.n"] or first["test.positive"] != second["test.positive"]
    assert first["test.n"] == pytest.approx(500, abs=100)
    assert not [name for name in first if name.endswith((".low", ".high"))]
    exact = make("epsilon = 5.0\nmetrics = 'exact'")
    assert ask(exact, **scored).figures["test.n"] == 500
    assert spent(exact) == []
    silent = make("epsilon = 5.0\nmetrics = 'withheld'")
    answer = ask(silent, **scored)
    assert answer.figures == {}
    assert {"auroc", "curve"} <= set(answer.withheld)
    assert spent(silent) == []


def test_a_source_does_not_score_what_came(make: Make) -> None:
    """Otherwise each round would cost, and the choice of the round would tell of validation patients."""
    answer = ask(make("epsilon = 5.0"), round=2, score=("validation",))
    assert set(answer.figures) == {"num-examples"}
    assert "auroc" in answer.withheld


def test_patients_are_counted_not_encounters(make: Make, hospitals: Path) -> None:
    """Every patient comes twice; a task draws patients, and says how many there are."""

    def paired(text: str) -> str:
        head, *rows = text.splitlines()
        return "\n".join([f"{head},who", *(f"{row},p{number // 2}" for number, row in enumerate(rows))]) + "\n"

    agent = make(edit=paired, head='patient = "who"\n')
    answer = ask(agent)
    train = agent._prepare(MINILM).splits["train"]
    assert train.patients is not None
    patients = len(train.patients.unique())
    assert len(train) > 1.2 * patients
    assert answer.figures["num-examples"] == patients
    assert spent(agent) == [Charge(100 / patients, 2.0, 8)]


def test_which_tokens_patients_have_does_not_decide_where_noise_is(make: Make, hospitals: Path) -> None:
    """A token that one patient alone has moves weights in a direction of its own; noise must be there all the same."""
    from client.preparation import prepare

    column = (hospitals / "allegheny.csv").read_text().splitlines()[0].split(",").index("C0850149")

    def never(text: str) -> str:
        head, *rows = text.splitlines()
        cells = [row.split(",") for row in rows]
        for row in cells:
            row[column] = "M"
        return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"

    site = make(edit=never).sites[0]
    used, whole = prepare(site, MINILM), prepare(site, MINILM, whole=True)
    missing = [row for row in whole.table[1:] if not (used.table == row).all(1).any()]
    assert len(missing) == len(whole.table) - len(used.table) >= 2
    agent = make(edit=never)
    moved = (ask(agent, privacy=Privacy(noise_multiplier=50.0)).arrays["cnn+linear"] - weights()["cnn+linear"])[:38_400]
    inside = np.linalg.qr(used.table[1:].double().numpy().T)[0]
    by_filter = moved.reshape(100, 384).astype(np.float64)
    usual = (by_filter @ inside).std()
    for row in missing:
        own = row.double().numpy() - inside @ (inside.T @ row.double().numpy())
        assert (by_filter @ (own / np.linalg.norm(own))).std() == pytest.approx(usual, rel=0.35)


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("validation = 0.3", True),
        ('positive = ["0"]', True),
        ('file = "other.csv"', False),
    ],
)
def test_a_population_is_its_files_and_not_what_is_asked_of_them(
    make: Make, tmp_path: Path, line: str, same: bool
) -> None:
    agent = make()
    before = population_of(agent.sites[0])
    path = agent.sites[0].path
    key = line.split(" = ")[0]
    (tmp_path / "other.csv").write_text((tmp_path / "allegheny.csv").read_text())
    text = path.read_text()
    changed = "\n".join(line if row.startswith(f"{key} =") else row for row in text.splitlines())
    assert changed != text
    path.write_text(changed.replace('negative = ["0"]', 'negative = ["1"]') if key == "positive" else changed)
    assert (population_of(load_site(path)) == before) == same
    path.write_text(path.read_text() + '\n[policy.privacy]\nepsilon = 1.0\npopulation = "all-of-us"\n')
    assert population_of(load_site(path)) == "all-of-us"


def test_the_codes_are_on_the_list() -> None:
    assert {"budget-spent", "not-private"} <= FAILURES.keys()
