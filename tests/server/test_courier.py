"""The coordinator insists on every answer, names who failed, and never repeats a site's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Error, Message
from flwr.clientapp import ClientApp

from common.config import Failures
from common.errors import SiteError, WireError
from common.grid import NOT_PUSHED, InProcessGrid
from common.tasks import Answer, Arrays
from common.transport import content_of
from server.attendance import Attendance
from server.courier import Courier, message_to
from server.exchange import Errand
from server.journal import Journal

Behave = Callable[[Message, str], Message]
SECRET = "Jane Roe, 1960-02-29"
app = ClientApp()
behaviour: dict[str, list[Behave]] = {}
journals: list[Path] = []


@app.train()
@app.query()
def site(message: Message, context: Context) -> Message:
    """A site that does what the test asks, one behaviour after another."""
    name = str(context.node_config["name"])
    queue = behaviour[name]
    return (queue.pop(0) if len(queue) > 1 else queue[0])(message, name)


def good(message: Message, name: str) -> Message:
    return Message(content_of(Answer("ok", name, {"test.n": 20.0})), reply_to=message)


def fails(message: Message, name: str) -> Message:
    return Message(content_of(Answer("bad-cohort", name)), reply_to=message)


def stumbles(message: Message, name: str) -> Message:
    return Message(content_of(Answer("failed", name)), reply_to=message)


def unreachable(message: Message, name: str) -> Message:
    return Message(Error(code=3, reason=SECRET), reply_to=message)


def empty(message: Message, name: str) -> Message:
    content = content_of(Answer("ok", name))
    del content["config"]
    return Message(content, reply_to=message)


def invents(message: Message, name: str) -> Message:
    return Message(content_of(Answer(SECRET, name)), reply_to=message)


def poses(message: Message, name: str) -> Message:
    return Message(content_of(Answer("ok", "site-a")), reply_to=message)


def shouts(message: Message, name: str) -> Message:
    return Message(content_of(Answer("failed", "\x1b[2Jboo")), reply_to=message)


def courier(failures: Failures, **sites: list[Behave]) -> Courier:
    failures = failures.model_copy(update={"away": 0.0})  # a site that is away is asked again at once
    behaviour.clear()
    behaviour.update({name.replace("_", "-"): list(queue) for name, queue in sites.items()})
    grid = InProcessGrid({name: {"name": name} for name in behaviour}, "test_courier_app:app")
    met = Courier(grid, failures, Journal(journals[0]))
    met.nodes = {name: node.node_id for name, node in zip(behaviour, grid.get_nodes(), strict=True)}
    return met


@pytest.fixture(autouse=True)
def _by_string(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The grid names its ClientApp by string, as Flower does."""
    import sys
    import types

    module = types.ModuleType("test_courier_app")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_courier_app", module)
    journals[:] = [tmp_path / "journal"]


def ask(met: Courier) -> dict[str, Answer]:
    messages = {name: message_to(node, json.dumps({"kind": "work"}), ArrayRecord()) for name, node in met.nodes.items()}
    return met.ask(messages, Errand("source", "minilm", 7, 3), lambda site, answer: None, at_least=1)


def test_answers_come_in_the_order_of_the_configuration() -> None:
    met = courier(Failures(), site_b=[good], site_a=[good])
    assert list(ask(met)) == ["site-b", "site-a"]
    assert [(c.site, c.direction) for c in met.exchange.crossings] == [
        ("site-b", "out"),
        ("site-a", "out"),
        ("site-b", "back"),
        ("site-a", "back"),
    ]


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (fails, "site site-b: the site's cohort cannot be read as its site file describes it"),
        (unreachable, "site site-b: cannot be reached"),
        (empty, "site site-b: answered with something that is not an answer"),
        (invents, "site site-b: answered with an unknown code"),
        (shouts, "site site-b: answered with something that is not an answer"),
        (poses, "site site-b: answered under another name"),
    ],
)
def test_who_fails_is_named_and_stops_the_run(behave: Behave, words: str) -> None:
    with pytest.raises(SiteError) as error:
        ask(courier(Failures(), site_a=[good], site_b=[behave]))
    assert str(error.value).startswith("source, round 3: ")
    assert words in str(error.value)
    assert SECRET not in str(error.value)


def answers_with(figures: dict[str, float], arrays: Arrays | None = None) -> Behave:
    def answer(message: Message, name: str) -> Message:
        return Message(content_of(Answer("ok", name, figures, arrays=arrays or {})), reply_to=message)

    return answer


@pytest.mark.parametrize(
    "behave",
    [
        answers_with({"test.auroc": 99.0}),
        answers_with({"test.auroc": float("nan")}),
        answers_with({"num-examples": 1e300}),
        answers_with({"num-examples": [1.0, 2.0]}),  # type: ignore[dict-item]
        answers_with({"test.n": -1.0}),
        answers_with({"threshold": 7.0}),
        answers_with({"test.patient": 0.5}),
        answers_with({}, {"linear": np.zeros(3)}),
        answers_with({}, {"linear": np.zeros((1, 3), np.float32)}),
    ],
)
def test_figures_out_of_range_are_no_answer(behave: Behave) -> None:
    with pytest.raises(SiteError, match="site site-b: answered with something that is not an answer"):
        ask(courier(Failures(), site_a=[good], site_b=[behave]))


def test_an_answer_that_cannot_be_used_is_a_failure_and_is_asked_for_again() -> None:
    def check(site: str, answer: Answer) -> None:
        if answer.figures.get("test.n") != 20:
            raise WireError("array linear is missing")

    met = courier(Failures(retries=1), site_a=[answers_with({"test.n": 19.0}), good])
    messages = {name: message_to(node, json.dumps({"kind": "work"})) for name, node in met.nodes.items()}
    assert met.ask(messages, Errand("full", "minilm", 7), check)["site-a"].figures == {"test.n": 20.0}
    journals[:] = [journals[0].parent / "another"]
    met = courier(Failures(), site_a=[answers_with({"test.n": 19.0})])
    with pytest.raises(SiteError, match="answered with something that cannot be used: array linear is missing"):
        met.ask(messages, Errand("full", "minilm", 7), check)
    assert not journals[0].exists()  # what could not be used is not kept for a resumed run


def test_a_site_is_asked_again_and_the_others_are_not() -> None:
    met = courier(Failures(retries=2), site_a=[good], site_b=[stumbles, unreachable, good])
    assert set(ask(met)) == {"site-a", "site-b"}
    assert [c.site for c in met.exchange.crossings if c.direction == "out"] == ["site-a", "site-b", "site-b", "site-b"]


def test_what_only_a_person_can_mend_is_not_asked_again() -> None:
    met = courier(Failures(retries=5), site_a=[good], site_b=[fails, good])
    with pytest.raises(SiteError, match="site site-b: the site's cohort cannot be read"):
        ask(met)
    assert [c.site for c in met.exchange.crossings if c.direction == "out"] == ["site-a", "site-b"]


def test_a_site_that_is_away_gets_its_message_again_within_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.carrier._AGAIN", 0.0)
    met = courier(Failures(retries=0), site_a=[good], site_b=[unreachable, unreachable, good])
    met.failures = Failures(retries=0, away=60)
    assert set(ask(met)) == {"site-a", "site-b"}


def test_each_phase_has_its_own_way_with_failures() -> None:
    failures = Failures.model_validate({"retries": 1, "transfer": {"policy": "continue", "retries": 0}})
    assert (failures.at("training").policy, failures.at("training").retries) == ("stop", 1)
    assert (failures.at("transfer").policy, failures.at("transfer").retries) == ("continue", 0)
    met = courier(failures, site_a=[good], site_b=[stumbles])
    messages = {name: message_to(node, json.dumps({"kind": "work"})) for name, node in met.nodes.items()}
    assert set(met.ask(messages, Errand("full", "minilm", 7), lambda s, a: None, phase="transfer")) == {"site-a"}
    with pytest.raises(SiteError, match="site site-b: the site failed"):
        met.ask(messages, Errand("source", "minilm", 7, 1), lambda s, a: None, phase="training")


def test_each_round_names_who_contributed_and_who_was_missing(tmp_path: Path) -> None:
    told: list[str] = []
    met = courier(Failures(policy="continue", retries=1), site_a=[good], site_b=[unreachable])
    met.attendance, met.tell = Attendance(tmp_path / "rounds.csv"), told.append
    ask(met)
    assert (tmp_path / "rounds.csv").read_text().splitlines() == [
        "embedding,seed,phase,round,site,contributed,encounters,why_not,validation_auroc,validation_n",
        "minilm,7,source,3,site-a,yes,20,,,",
        "minilm,7,source,3,site-b,no,,cannot be reached,,",
    ]
    assert told == [
        "source, round 3: site site-b: cannot be reached; asked again",
        "source, round 3: site site-b: cannot be reached; gone on without it",
    ]


def test_who_goes_away_and_comes_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.carrier._AGAIN", 0.0)
    told: list[str] = []
    met = courier(Failures(), site_a=[good], site_b=[unreachable, unreachable, good])
    met.failures, met.tell = Failures(retries=0, away=60), told.append
    assert list(ask(met)) == ["site-a", "site-b"]
    assert told == [
        "source, round 3: site site-b: away; asked again for 60 seconds",
        "source, round 3: site site-b: back",
    ]


class Echoing(InProcessGrid):
    """Hands over every reply twice, and replies to what nobody asked."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        once = list(super().pull_messages(message_ids))
        return [*once, *once, *self.strays]

    strays: tuple[Message, ...] = ()


def test_a_site_that_answers_twice_or_unasked_counts_once() -> None:
    met = courier(Failures(), site_a=[good], site_b=[good])
    grid = Echoing({name: {"name": name} for name in behaviour}, "test_courier_app:app")
    met.carrier.grid = grid
    stray = message_to(met.nodes["site-a"], "{}")
    stray.metadata.__dict__["_message_id"] = "never sent"
    grid.strays = (good(stray, "site-a"),)
    assert list(ask(met)) == ["site-a", "site-b"]
    assert [c.direction for c in met.exchange.crossings] == ["out", "out", "back", "back"]


class Losing(InProcessGrid):
    """Loses the first message that it is handed, as Flower's grid does when the SuperLink is killed meanwhile."""

    lost = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self.lost += 1
        if self.lost == 1:
            raise NOT_PUSHED[0]("some-object", 1, "session")
        return super().push_messages(messages)


def test_a_message_that_the_superlink_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.carrier._AGAIN", 0.0)
    met = courier(Failures(), site_a=[good], site_b=[good])
    met.failures = Failures(retries=0, away=60)
    met.carrier.grid = Losing({name: {"name": name} for name in behaviour}, "test_courier_app:app")
    assert list(ask(met)) == ["site-a", "site-b"]


def test_going_on_without_a_site_is_noted_by_name() -> None:
    met = courier(Failures(policy="continue", at_least=1), site_a=[good], site_b=[unreachable])
    assert set(ask(met)) == {"site-a"}
    assert met.absent == ["source, round 3: site site-b: cannot be reached"]


def test_too_few_sites_stop_the_run_all_the_same() -> None:
    with pytest.raises(SiteError, match=r"site site-a: .*; site site-b: "):
        ask(courier(Failures(policy="continue", at_least=1), site_a=[fails], site_b=[fails]))


def test_sites_that_are_not_there_are_named() -> None:
    told: list[str] = []
    met = courier(Failures(timeout=0.1), site_a=[good])
    met.tell = told.append
    with pytest.raises(SiteError, match="sites not connected: site-c; connected: site-a"):
        met.meet("{}", Errand("greet", "minilm", 0), ["site-a", "site-c"])
    assert told == []  # nothing to wait for: the time is up at once
    met.failures = Failures(timeout=0.5)
    with pytest.raises(SiteError, match="sites not connected: site-c; connected: site-a"):
        met.meet("{}", Errand("greet", "minilm", 0), ["site-a", "site-c"])
    assert told == ["not connected: site-c; waiting for up to 0 seconds"]


def test_a_node_must_answer_by_the_name_that_it_is_registered_under() -> None:
    met = courier(Failures(), site_a=[good], site_b=[poses])
    with pytest.raises(SiteError, match="the node registered as 'site-b' answers as 'site-a'"):
        met.meet("{}", Errand("greet", "minilm", 0), ["site-a", "site-b"])
