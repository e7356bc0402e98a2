"""Which run a site serves, and how often one may ask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.ledger import LEDGER, Ledger
from client.refusals import OldRunError
from common import __version__
from common.errors import ConfigError, PolicyError, WireError
from common.shape import ModelShape
from common.tasks import Embedding, Greet, Request, Work

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")


def greet(run: str, session: int) -> Greet:
    return Greet(version=__version__, run=run, session=session, embedding=MINILM)


def ask(ledger: Ledger, run: str, session: int, most: int = 100, **changes: Any) -> None:
    fields = {"version": __version__, "run": run, "session": session, "strategy": "direct", "embedding": MINILM}
    pull, arrays = changes.pop("proximal_mu", 0.0), changes.pop("arrays", {})
    work = Work.model_validate(fields | {"model": ModelShape(), "training": None, "seed": 1} | changes)
    ledger.work(work, Request(work.model_dump_json(), arrays, pull), most)


def test_a_later_start_replaces_an_earlier_one_for_good(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.greet(greet("a", 5))
    ask(ledger, "a", 5)
    ledger.greet(greet("a", 5))  # the next embedding of the same start
    ledger.greet(greet("b", 7))
    for old in (("a", 5), ("a", 7), ("b", 5)):
        with pytest.raises(OldRunError):
            ledger.greet(greet(*old))
        with pytest.raises(OldRunError):
            ask(ledger, *old)
    ask(ledger, "b", 7)
    again = Ledger(tmp_path)  # after a restart
    assert again.current == ("b", 7)
    with pytest.raises(OldRunError):
        again.greet(greet("a", 5))
    ask(again, "b", 7)


def test_nothing_is_served_before_a_greeting(tmp_path: Path) -> None:
    with pytest.raises(OldRunError):
        ask(Ledger(tmp_path), "", 0)
    with pytest.raises(OldRunError):
        Ledger(tmp_path).greet(greet("", 0))


def test_a_session_of_the_far_future_cannot_lock_the_others_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    minute = 60 * 10**9
    with pytest.raises(WireError):
        ledger.greet(greet("a", time.time_ns() + 60 * minute))
    ledger.greet(greet("a", time.time_ns() + minute))  # a coordinator whose clock is a little ahead


def test_different_tasks_are_counted_and_repeated_ones_are_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.greet(greet("a", 5))
    weights = {"cnn+linear": np.ones(3, np.float32)}
    for change in ({}, {"round": 2}, {"seed": 2}, {"proximal_mu": 1.0}, {"arrays": weights}):
        ask(ledger, "a", 5, most=5, **change)
    ask(ledger, "a", 5, most=5)
    ledger.greet(greet("a", 6))  # the run is resumed
    resumed = Ledger(tmp_path)
    ask(resumed, "a", 6, most=5, round=2)
    with pytest.raises(PolicyError, match="max_tasks is 5"):
        ask(resumed, "a", 6, most=5, arrays={"cnn+linear": np.zeros(3, np.float32)})
    resumed.greet(greet("b", 7))
    ask(resumed, "b", 7, most=1)


def test_a_ledger_that_cannot_be_written_notes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    ledger.greet(greet("a", 5))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("client.ledger.write_atomically", full)
        with pytest.raises(OSError, match="No space"):
            ledger.greet(greet("b", 6))
    assert ledger.current == Ledger(tmp_path).current == ("a", 5)


@pytest.mark.parametrize("content", ["", "[]", '{"session": "x"}', '{"sessions": 1}'])
def test_a_ledger_that_was_spoilt_is_not_begun_anew_in_silence(tmp_path: Path, content: str) -> None:
    (tmp_path / LEDGER).write_text(content)
    with pytest.raises(ConfigError, match="not a ledger"):
        Ledger(tmp_path)
