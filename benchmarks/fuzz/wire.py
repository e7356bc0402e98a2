"""What crosses: frames between relay and agent, messages between site and coordinator, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import safetensors.numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from benchmarks.fuzz.contract import Reader
from benchmarks.fuzz.keys import home, join_request, welcome
from client.boundary import read_task
from client.frames import answer_in, encode, header_of, receive, request_in
from client.home.join import join
from common import __version__
from common.config import Federation, merge, preset_of
from common.embeddings import builtin_table, load_table
from common.grid import InProcessGrid
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Answer, Embedding, Greet, Request, Work
from common.transport import ARRAYS, CONFIG, FIGURES, flat_of, request_of
from common.wire import array_name, unpack, unpack_several
from server.answers import fault
from server.carrier import Carrier
from server.coordinator.requests import read_request
from server.events import Events
from server.exchange import Crossing, Errand
from server.greeting import Origin, greet
from server.journal import Journal

D = 4  # embedding size
SMALL = ModelShape(filters=2)
SIZE = 2 * D + 2 + 2 * 2 + 2
EMBEDDING = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
FEDERATION = Federation.model_validate(
    merge(
        preset_of("default"),
        {
            "name": "small",
            "sites": {"hill": {}, "lake": {}},
            "directions": [{"sources": ["hill"], "targets": ["lake"]}],
            "embeddings": ["minilm"],
        },
    )
)


class _Stream:
    """As much of a socket as `receive` needs."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def recv(self, size: int) -> bytes:
        piece = self.data[self.place : self.place + size]
        self.place += len(piece)
        return piece


def _read_request(data: bytes, folder: Path) -> object:
    """As the agent does, up to where a model is made."""
    request = request_in(receive(cast(Any, _Stream(data))))
    task = read_task(request)
    if isinstance(task, Work):
        unpack_several(request.arrays, D, task.model)
        return unpack(request.arrays, EVERYTHING, D, task.model)
    return task


def _read_answer(data: bytes, folder: Path) -> object:
    return answer_in(receive(cast(Any, _Stream(data))))


def _content(data: bytes) -> RecordDict | None:
    """Give a message's content from JSON; None where Flower itself makes none of it."""
    try:
        told = json.loads(data)
        content = RecordDict({CONFIG: ConfigRecord(told["config"]), FIGURES: MetricRecord(told["figures"])})
        for record, arrays in told["arrays"].items():
            content[record] = ArrayRecord(
                {
                    name: Array(dtype=a["dtype"], shape=a["shape"], stype=a["stype"], data=a["data"].encode("latin-1"))
                    for name, a in arrays.items()
                }
            )
    except Exception:
        return None
    return content


def _read_reply(data: bytes, folder: Path) -> object:
    """As the coordinator does: the answer to a task, and to a greeting."""
    content = _content(data)
    if content is None:
        return None
    reply = cast(Message, SimpleNamespace(has_error=lambda: False, content=content))
    answer = Carrier(cast(Any, None))._take(reply, "hill", Errand("training", "minilm", 7))
    fault(answer, "hill", _check, frozenset({"too-few"}))
    courier = SimpleNamespace(meet=lambda *arguments: {"hill": answer, "lake": answer})
    events = Events(folder)
    return greet(cast(Any, courier), FEDERATION, Origin("r", 1, ""), "minilm", ["hill", "lake"], events)


def _check(site: str, answer: Answer) -> None:
    unpack(answer.arrays, EVERYTHING, D, SMALL)


def _read_message(data: bytes, folder: Path) -> object:
    """As the relay does."""
    content = _content(data)
    return None if content is None else request_of(cast(Message, SimpleNamespace(content=content)))


def _read_array(data: bytes, folder: Path) -> object:
    return flat_of(Array(dtype="float32", shape=(3,), stype="numpy.ndarray", data=data))


def _read_journal(data: bytes, folder: Path) -> object:
    (folder / "000001.safetensors").write_bytes(data)
    return Journal(folder).recall({})


def _read_join_request(data: bytes, folder: Path) -> object:
    (folder / "hill.request.json").write_bytes(data)
    return read_request(folder / "hill.request.json", "hill").fingerprint


def _read_welcome(data: bytes, folder: Path) -> object:
    (folder / "hill.welcome.json").write_bytes(data)
    return join(home(), folder / "hill.welcome.json")


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _message(config: dict[str, Any], figures: dict[str, Any], name: str, values: Any) -> bytes:
    array = Array(values)
    said = {
        "dtype": array.dtype,
        "shape": list(array.shape),
        "stype": array.stype,
        "data": array.data.decode("latin-1"),
    }
    return _json({"config": config, "figures": figures, "arrays": {ARRAYS: {name: said}} if name else {}})


def _seeds() -> dict[str, tuple[bytes, ...]]:
    InProcessGrid({})  # a message of Flower's takes its sender from it
    flat = np.linspace(-1, 1, SIZE, dtype=np.float32)
    everything = array_name(EVERYTHING)
    tasks = [_work(), Greet(version=__version__, embedding=EMBEDDING)]
    requests = [Request(task.model_dump_json(), {everything: flat} if isinstance(task, Work) else {}) for task in tasks]
    facts = {"version": __version__, "vocabulary": ["fever_P", "fever_A"]}
    facts["fingerprint"] = load_table(builtin_table("minilm")).fingerprint().to_json()
    figures = {"num-examples": 100.0, "test.auroc": 0.9, "test.auroc.low": 0.8, "test.curve.03.n": 12.0}
    answers = [Answer("ok", "hill", figures, arrays={everything: flat}, withheld=("brier",))]
    answers += [Answer("ok", "hill", facts=json.dumps(facts)), Answer("too-few", "hill")]
    words = [{"code": a.code, "site": a.site, "facts": a.facts, "withheld": " ".join(a.withheld)} for a in answers]
    crossing = vars(Crossing("minilm", 7, "training", 1, "hill", "back", everything, SIZE, 100))
    said = {key: value for key, value in vars(answers[0]).items() if key != "arrays"}
    record = {
        "question": _NOTHING,
        "answers": {"hill": said},
        "crossings": [crossing],
        "absent": [],
        "failed": {"lake": "late"},
    }
    kept = safetensors.numpy.save({f"hill/{everything}": flat}, metadata={"journal": json.dumps(record)})
    return {
        "request": tuple(encode(header_of(r), r.arrays)[0] for r in requests),
        "answer": tuple(encode(header_of(a), a.arrays)[0] for a in answers),
        "reply": tuple(
            _message(w, dict(a.figures), everything if a.arrays else "", flat)
            for w, a in zip(words, answers, strict=True)
        ),
        "message": (_message({"task": requests[0].task, "proximal-mu": 0.1}, {}, everything, flat),),
        "array": (Array(flat).data, Array(flat.astype(np.float64)).data, Array(flat[:, None]).data),
        "journal": (kept,),
    }


_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of no message


def _work() -> Work:
    training = FEDERATION.training.model_dump()
    return Work.model_validate(
        {"version": __version__, "run": "r", "session": 1, "strategy": "full", "embedding": EMBEDDING.model_dump()}
        | {"model": SMALL.model_dump(), "training": training, "seed": 7, "score": ["test"], "intervals": 100}
        | {"alone": training, "threshold": 0.5, "home": 0.9, "prevalence": [0.3], "likeness": {}}
    )


def readers() -> list[Reader]:
    """Give every way in over the wire."""
    seeds = _seeds()

    return [
        Reader("request", "frame", seeds["request"], _read_request),
        Reader("answer", "frame", seeds["answer"], _read_answer),
        Reader("reply", "json", seeds["reply"], _read_reply),
        Reader("facts", "json", _facts(seeds["reply"]), _read_facts),
        Reader("message", "json", seeds["message"], _read_message),
        Reader("array", "bytes", seeds["array"], _read_array),
        Reader("journal", "safetensors", seeds["journal"], _read_journal),
        Reader("join request", "json", (join_request(),), _read_join_request),
        Reader("welcome", "json", (welcome(),), _read_welcome),
    ]


def _facts(replies: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (json.loads(replies[1])["config"]["facts"].encode(),)


def _read_facts(data: bytes, folder: Path) -> object:
    """Read a greeting's facts, inside of the message that carries them."""
    config = {"code": "ok", "site": "hill", "facts": data.decode("utf-8", "replace"), "withheld": ""}
    return _read_reply(_json({"config": config, "figures": {}, "arrays": {}}), folder)
