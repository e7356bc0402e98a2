"""Frames that nobody should send to an agent, each with the decision that must follow."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from client.frames import MAGIC, VERSION
from common import __version__
from common.config import Federation, digest
from common.model import initial_weights
from common.strategies import EVERYTHING
from common.tasks import Greet, Work
from common.wire import array_name, pack

DIMENSION = 768  # of the built-in table, absences apart
WEIGHTS = array_name(EVERYTHING)
Session = tuple[str, int]  # a run's name, and which start of it


@dataclass(frozen=True)
class Forged:
    """A frame.

    Attributes
    ----------
    what : str
    content : bytes
    decision : str
        The code with which it must be answered, and which the audit log must show.
    hang_up : bool
        Whether the sender goes away without waiting for an answer.
    """

    what: str
    content: bytes
    decision: str
    hang_up: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give what the hostile bundle is told to send."""
        return {"bytes": base64.b64encode(self.content).decode(), "hang_up": self.hang_up}


def frame(words: bytes, body: bytes = b"") -> bytes:
    """Give a frame of any two parts."""
    return struct.pack(">4sHIQ", MAGIC, VERSION, len(words), len(body)) + words + body


def asking(task: Greet | Work | str, body: bytes = b"", proximal_mu: float = 0.0) -> bytes:
    """Give the frame of a request."""
    text = task if isinstance(task, str) else task.model_dump_json()
    return frame(json.dumps({"task": text, "proximal_mu": proximal_mu}).encode(), body)


def flat(federation: Federation) -> NDArray[np.float32]:
    """Give weights as they may travel."""
    weights = pack(initial_weights(DIMENSION, federation.model, 0), EVERYTHING, DIMENSION, federation.model)
    return weights[WEIGHTS]


class Forger:
    """Forges tasks of one federation.

    Parameters
    ----------
    federation : Federation
        Approved at the site.
    session : tuple
        The run that is to be served, and its session.
    """

    def __init__(self, federation: Federation, session: Session) -> None:
        self.federation, self.session = federation, session
        embedding = {
            "name": "minilm",
            "normalisation": federation.normalisation,
            "unknown": federation.unknown,
            "absence": federation.absence,
        }
        origin = {"version": __version__, "run": session[0], "session": session[1], "federation": digest(federation)}
        self.greeting = Greet.model_validate({**origin, "embedding": embedding})
        asked = {"strategy": "source", "model": federation.model, "training": federation.training, "seed": 7}
        self.task = Work.model_validate({**origin, "embedding": embedding, **asked})
        self.weights = flat(federation)
        self.body = save({WEIGHTS: self.weights})

    def greet(self, **changes: Any) -> bytes:
        """Give a greeting with some fields replaced."""
        return asking(self.greeting.model_copy(update=changes))

    def work(self, **changes: Any) -> bytes:
        """Give a task with some fields replaced."""
        return asking(self.task.model_copy(update=changes), self.body)

    def trained(self, **changes: Any) -> bytes:
        """Give a task that trains otherwise than was approved."""
        return self.work(training=self.federation.training.model_copy(update=changes))

    def old(self, earlier: Session) -> Iterator[Forged]:
        """Play a message of an earlier run again."""
        run, session = earlier
        yield Forged("the greeting of an old run", self.greet(run=run, session=session), "old-run")
        yield Forged("a task of an old run", self.work(run=run, session=session), "old-run")
        yield Forged("a task of an old run by a new name", self.work(session=session), "old-run")
        yield Forged("an old run as if it were served", self.work(run=run), "old-run")
        yield Forged("a session to come", self.work(session=self.session[1] + 1), "old-run")
        yield Forged("a session in a year", self.greet(session=self.session[1] + 365 * 86_400 * 10**9), "bad-task")

    def not_approved(self) -> Iterator[Forged]:
        """Ask for more than a data steward approved."""
        embedding = self.task.embedding
        tasks = {
            "another federation": self.work(federation="0" * 64),
            "no federation": self.work(federation=""),
            "a path for a federation": self.work(federation="../../allegheny"),
            "a greeting of no federation": self.greet(federation="../audit"),
            "another strategy": self.work(strategy="linear"),
            "a strategy that nobody knows": self.work(strategy="pickle"),
            "another seed": self.work(seed=8),
            "a round too many": self.work(round=4),
            "more rounds": self.trained(rounds=10),
            "more epochs": self.trained(epochs=999),
            "steps on one patient": self.trained(batch_size=1),
            "no momentum": self.trained(momentum=0.0),
            "no training": self.work(training=None),
            "a larger model": self.work(model=self.federation.model.model_copy(update={"filters": 5000})),
            "another embedding": self.work(embedding=embedding.model_copy(update={"name": "stolen"})),
            "words to look for": self.work(embedding=embedding.model_copy(update={"vocabulary": ("C0000737_P",)})),
            "more intervals": self.work(intervals=99_999),
            "a pull": asking(self.task, self.body, proximal_mu=1e9),
        }
        return (Forged(what, content, "not-approved") for what, content in tasks.items())

    def no_tasks(self) -> Iterator[Forged]:
        """Send what is no task."""
        content = json.loads(self.task.model_dump_json())
        tasks = {
            "another version": self.work(version="9.9.9"),
            "an unknown key": asking(json.dumps({**content, "path": "/etc/passwd"}), self.body),
            "an unknown kind": asking(json.dumps({**content, "kind": "shell"}), self.body),
            "no number": asking(json.dumps({**content, "seed": "7; ls"}), self.body),
            "no object": asking("[1]", self.body),
            "lists in lists": asking("[" * 900, self.body),
            "a billion filters": asking(json.dumps({**content, "model": {"filters": 10**9}}), self.body),
        }
        return (Forged(what, content, "bad-task") for what, content in tasks.items())

    def arrays(self) -> Iterator[Forged]:
        """Send a task that is approved with arrays that are not."""
        weights, half = self.weights, self.weights[: len(self.weights) // 2]
        spoilt = {bad: np.where(np.arange(len(weights)) == 5, np.float32(bad), weights) for bad in ("nan", "inf")}
        bodies = {
            "no array": b"",
            "another name": save({"linear": weights}),
            "a name that is a path": save({"../weights": weights}),
            "one number less": save({WEIGHTS: weights[1:]}),
            "one number more": save({WEIGHTS: np.append(weights, weights[:1])}),
            "another shape": save({WEIGHTS: weights[None, :]}),
            "another type": save({WEIGHTS: weights.astype(np.float64)}),
            "whole numbers": save({WEIGHTS: weights.astype(np.int32)}),
            "half precision": save({WEIGHTS: weights.astype(np.float16)}),
            "two arrays": save({WEIGHTS: weights, "linear": half}),
            "not a number": save({WEIGHTS: spoilt["nan"]}),
            "infinity": save({WEIGHTS: spoilt["inf"]}),
            "a pickle": pickle.dumps({WEIGHTS: weights}),
            "a pickle that calls": b"cos\nsystem\n(S'id'\ntR.",
            "a size that is a lie": (2**40).to_bytes(8, "little") + self.body[8:],
        }
        return (Forged(what, asking(self.task, body), "bad-task") for what, body in bodies.items())

    def garbage(self) -> Iterator[Forged]:
        """Send what is no frame."""
        head, good = struct.Struct(">4sHIQ"), self.work()
        frames = {
            "garbage": bytes(range(256)) * 40,
            "another protocol": head.pack(MAGIC, VERSION + 1, 2, 0) + b"{}",
            "2 GB of words": head.pack(MAGIC, VERSION, 2**31, 0) + b"{" * 1000,
            "2 GB of arrays": head.pack(MAGIC, VERSION, 2, 2**31) + b"{}" + bytes(1000),
            "the most that can be said": head.pack(MAGIC, VERSION, 2**32 - 1, 2**64 - 1),
            "no JSON": frame(b"\xff\xfe{", self.body),
            "no request": frame(b'{"code": "ok", "site": "x"}'),
            "a pull that is no number": frame(b'{"task": "", "proximal_mu": NaN}'),
            "a pull that is true": frame(b'{"task": "", "proximal_mu": true}'),
        }
        yield from (Forged(what, content, "bad-task") for what, content in frames.items())
        yield Forged("half a frame", good[: len(good) // 2], "bad-task", hang_up=True)


def codes(answered: bytes) -> list[str]:
    """Give the code of an answer, and the names of what else it brings."""
    _, _, words, body = struct.unpack(">4sHIQ", answered[:18])
    header = json.loads(answered[18 : 18 + words])
    extra = [name for name in ("figures", "facts", "withheld") if header[name]] + (["arrays"] if body else [])
    return [header["code"], *extra]
