"""Real agents before a coordinator that asks one thing here and another there: nothing comes out of it but codes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.privacy.ledger import PrivacyLedger
from client.secure.vault import Vault
from client.site_file import Site, load_site
from common import __version__
from common.config import Training
from common.model import initial_weights
from common.privacy import Privacy
from common.secure.fixed import MASKED, decode
from common.secure.group import AGREE, MASK, OPEN, Member, Secure
from common.secure.said import Agreed, Masked, Opened, read
from common.secure.statements import mark_of
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Answer, Arrays, Embedding, Greet, Request, Work
from common.wire import pack
from server.secure import unmasked

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
SHAPE = ModelShape()
NOISE = Privacy(noise_multiplier=1.0)
Clinics = dict[str, dict[str, str]]


def weights(seed: int = 0) -> Arrays:
    return dict(pack(initial_weights(384, SHAPE, seed), EVERYTHING, 384, SHAPE))


class Sites:
    """Agents with their folders, and a coordinator that may ask anything of each."""

    def __init__(self, clinics: Clinics, folder: Path, names: str) -> None:
        self.folder = folder
        self.sites: dict[str, Site] = {name: load_site(Path(clinics[name]["file"])) for name in names}
        self.agents: dict[str, Agent] = {}
        self.ledgers = {name: PrivacyLedger() for name in names}
        for name in names:
            self.restart(name)
        self.members = self.greet()

    def restart(self, name: str) -> None:
        self.agents[name] = Agent([self.sites[name]], self.ledgers[name], vault=Vault(self.folder / name))

    def greet(self, run: str = "r") -> tuple[Member, ...]:
        request = Request(Greet(version=__version__, run=run, embedding=MINILM, secure=True).model_dump_json())
        facts = [json.loads(agent.answer(request).facts) for agent in self.agents.values()]
        return tuple(Member.model_validate(each["secure"]) for each in facts)

    def ask(self, name: str, stage: str, came: Arrays | None = None, **more: Any) -> Answer:
        """Ask one site; `more` are other values of the task, or of its part `secure`."""
        arrays = weights() if came is None else came
        content = {"stage": stage, "members": self.members, "came": mark_of(arrays)}
        content |= {key: more.pop(key) for key in list(more) if key in Secure.model_fields}
        fields: dict[str, Any] = {
            "version": __version__,
            "run": "r",
            "strategy": "source",
            "embedding": MINILM,
            "model": SHAPE,
            "training": Training(
                rounds=3, epochs=1, batches=2, batch_size=64, optimiser="sgd", learning_rate=more.pop("rate", 0.01)
            ),
            "seed": 1,
            "round": 1,
            "secure": content,
        }
        task = Work.model_validate(fields | more)
        return self.agents[name].answer(Request(task.model_dump_json(), arrays if stage == MASK else {}))

    def open(self, name: str, masked: dict[str, Answer], left: Iterable[str], **more: Any) -> Answer:
        sealed = {other: read(Masked, masked[other]).sealed[name] for other in left if other != name}
        return self.ask(name, OPEN, left=tuple(left), sealed=sealed, **more)


@pytest.fixture
def four(clinics: Clinics, tmp_path: Path) -> Sites:
    return Sites(clinics, tmp_path, "abcd")


def masked_by(sites: Sites, names: str, **more: Any) -> dict[str, Answer]:
    masked = {name: sites.ask(name, MASK, **more) for name in names}
    assert {answer.code for answer in masked.values()} == {"ok"}
    return masked


def test_an_honest_round(four: Sites) -> None:
    masked = masked_by(four, "abcd")
    opened = {name: read(Opened, four.open(name, masked, "abcd")) for name in "bcd"}
    total = unmasked([*"abcd"], {name: answer.arrays[MASKED] for name, answer in masked.items()}, opened)
    exact = [four.agents[name].loaded()["minilm"]["train"] for name in "abcd"]
    assert decode(total, 4).encounters == sum(exact)
    assert not any(answer.figures for answer in masked.values())


def test_weights_that_the_others_were_not_sent(four: Sites) -> None:
    """One site gets the model, the others a dead one, which moves alike everywhere: the sum would be that site's."""
    lie = Secure.model_validate({"stage": MASK, "members": four.members, "came": mark_of(weights(5))})
    assert four.ask("a", MASK, secure=lie).code == "unsafe"
    masked = masked_by(four, "abc")
    masked["d"] = four.ask("d", MASK, weights(5))
    assert masked["d"].code == "ok"
    assert {four.open(name, masked, "abcd").code for name in "abcd"} == {"bad-task", "unsafe"}


@pytest.mark.parametrize(
    "more", [{"rate": 0.02}, {"round": 2}, {"seed": 2}, {"equal": True}, {"score": ("validation",)}]
)
def test_a_task_that_the_others_were_not_sent(four: Sites, more: dict[str, Any]) -> None:
    masked = masked_by(four, "abc")
    masked["d"] = four.ask("d", MASK, **more)
    assert masked["d"].code == "ok"
    codes = {name: four.open(name, masked, "abcd").code for name in "abcd"}
    assert set(codes.values()) == {"bad-task", "unsafe"}
    assert codes["d"] == "unsafe"  # it masked nothing in the others' round


def test_members_that_the_others_were_not_told_of(four: Sites) -> None:
    masked = masked_by(four, "abc")  # each of four
    three = four.members[:3]
    again = {name: four.ask(name, MASK, members=three) for name in "abc"}
    assert {answer.code for answer in again.values()} == {"ok"}  # under other masks
    assert four.open("a", again, "abc", members=three).code == "ok"
    assert four.ask("a", AGREE, left=("a", "b", "d")).code == "unsafe"  # the same update is in another sum
    assert {four.open(name, masked, "abc").code for name in "bc"} == {"unsafe"}  # nobody has signed who is left


def test_two_stories_of_who_is_left(four: Sites) -> None:
    """Shares of a site's own mask from one half, of its masks with the others from the other half."""
    masked = masked_by(four, "abcd")
    assert four.open("a", masked, "abcd").code == "ok"
    signed = {name: four.ask(name, AGREE, left=("a", "b", "c")) for name in "abc"}
    assert {name: answer.code for name, answer in signed.items()} == {"a": "unsafe", "b": "ok", "c": "ok"}
    given = {name: read(Agreed, signed[name]).signature for name in "bc"}
    assert {four.open(name, masked, "abc", signatures=given).code for name in "bc"} == {"unsafe"}
    assert four.open("b", masked, "abcd").code == "unsafe"  # it has promised that d is gone
    assert four.ask("d", AGREE, left=("a", "b", "c")).code == "unsafe"  # itself is not among them


def test_keys_of_nobody(four: Sites) -> None:
    made_up = four.members[3].model_copy(update={"key": "ab" * 32})
    assert four.ask("a", MASK, members=(*four.members[:3], made_up)).code == "bad-task"
    assert four.ask("a", MASK, members=four.members[1:]).code == "unsafe"
    assert four.ask("a", MASK, run="another").code == "unsafe"  # it was not greeted for that run


def test_an_agent_that_starts_again_says_the_same(four: Sites) -> None:
    first = four.ask("a", MASK)
    four.restart("a")
    again = four.ask("a", MASK)
    assert np.array_equal(first.arrays[MASKED], again.arrays[MASKED])
    assert first.facts == again.facts
    masked = {"a": again, **masked_by(four, "bcd")}
    opened = four.open("a", masked, "abcd")
    four.restart("a")
    assert four.open("a", masked, "abcd").facts == opened.facts
    assert four.ask("a", AGREE, left=("a", "b", "c")).code == "unsafe"


def test_with_noise_an_update_is_drawn_and_paid_for_once(four: Sites) -> None:
    """Drawn again it would be another; two under the same masks would show their difference."""
    first = four.ask("a", MASK, privacy=NOISE)
    spent = four.ledgers["a"].spent(four.ledgers["a"].populations[0])
    four.restart("a")
    again = four.ask("a", MASK, privacy=NOISE)
    assert (first.code, again.code) == ("ok", "ok")
    assert np.array_equal(first.arrays[MASKED], again.arrays[MASKED])
    assert four.ledgers["a"].spent(four.ledgers["a"].populations[0]) == spent
    assert four.ask("a", MASK, privacy=NOISE, round=2).code == "ok"
    assert four.ledgers["a"].spent(four.ledgers["a"].populations[0]) != spent
    assert four.ask("a", MASK, privacy=NOISE).code == "unsafe"  # of round 1 it is no longer kept, and another is drawn
