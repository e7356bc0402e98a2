"""Tasks and answers as Flower messages, and the grid that carries them within one process.

Every reach into Flower beyond `flwr.app`, `flwr.clientapp` and `flwr.serverapp` is in this file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from math import prod
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from common.errors import WireError
from common.metrics import METRICS
from common.tasks import Answer, Request

ARRAYS, CONFIG, FIGURES = "arrays", "config", "figures"
WEIGHT = "num-examples"  # the figure by which Flower's strategies weigh a site
_METRIC = "|".join((*METRICS, "n", "positive"))
_FIGURE = re.compile(rf"num-examples|threshold|(came\.)?(validation|test)\.(?P<metric>{_METRIC})(\.low|\.high)?")
_COUNT, _ANY = (0.0, 1e9), (-1e6, 1e6)
_RANGES = {WEIGHT: (1.0, 1e9), "n": _COUNT, "positive": _COUNT, **dict.fromkeys(METRICS[3:5], _ANY), "": (0.0, 1.0)}
_FACTS = 2**24  # characters of a greeting
_runs = itertools.count(1)
_PROXIMAL = "proximal-mu"  # FedProx puts it there


def request_of(message: Message) -> Request:
    """Take a request out of a message, at the site."""
    config = message.content.config_records[CONFIG]
    arrays = message.content.array_records.get(ARRAYS, ArrayRecord())
    return Request(
        task=str(config["task"]),
        arrays={name: array.numpy() for name, array in arrays.items()},
        proximal_mu=float(cast(float, config.get(_PROXIMAL, 0.0))),
    )


def content_of(answer: Answer) -> RecordDict:
    """Put an answer into a message's content, at the site."""
    config = ConfigRecord({"code": answer.code, "site": answer.site, "facts": answer.facts})
    content = RecordDict({CONFIG: config, FIGURES: MetricRecord(dict(answer.figures))})
    if answer.arrays:
        content[ARRAYS] = ArrayRecord({name: Array(values) for name, values in answer.arrays.items()})
    return content


def answer_of(message: Message) -> Answer:
    """Take an answer out of a message's content, at the coordinator.

    Raises
    ------
    WireError
        It holds anything but at most one float32 array, and figures on our list that are finite and in their range.
    """
    try:
        config = message.content.config_records[CONFIG]
        figures = dict(message.content.metric_records[FIGURES])
        arrays = {name: _read(array) for name, array in _arrays(message.content).items()}
        if re.fullmatch(r"[a-z0-9-]{0,64}", str(config["site"])) is None or len(str(config["facts"])) > _FACTS:
            raise WireError("a name that no site can have, or too many words")
        if len(arrays) > 1 or any(re.fullmatch(r"[a-z+]{1,20}", name) is None for name in arrays):
            raise WireError("arrays that are not on the list")
        answer = Answer(str(config["code"]), str(config["site"]), figures, str(config["facts"]), arrays)  # type: ignore[arg-type]
    except Exception as error:  # whatever another organisation's machine put together
        raise WireError(f"not an answer ({type(error).__name__})") from None
    for name, value in figures.items():
        check_figure(str(name), value)
    return answer


def check_figure(name: str, value: object) -> None:
    """Check one number that a site sends.

    Raises
    ------
    WireError
        The name is not on our list, or the value is not a finite number in its range.
    """
    match = _FIGURE.fullmatch(name)
    if match is None:
        raise WireError("a figure that is not on the list")
    low, high = next(bounds for kind, bounds in _RANGES.items() if kind in (match["metric"] or name, ""))
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise WireError(f"figure {name} is not a number from {low:g} to {high:g}")


def _arrays(content: RecordDict) -> dict[str, Array]:
    return {name: array for record in content.array_records.values() for name, array in record.items()}


def _read(array: Array) -> NDArray[np.float32]:
    if array.stype != "numpy.ndarray":
        raise WireError("an array of another kind")
    values = array.numpy()
    if values.dtype != np.float32 or values.ndim != 1:
        raise WireError("an array that is not flat float32")
    return values


def arrays_in(content: RecordDict) -> tuple[str, int]:
    """Give the names of a message's arrays, joined, and how many numbers they hold by their declared shapes."""
    arrays = _arrays(content)
    return " ".join(arrays), sum(prod(array.shape) for array in arrays.values())


def payload_bytes(content: RecordDict) -> int:
    """Count the bytes of a message's arrays, figures and words, before the transport's own framing."""
    arrays = sum(len(array.data) for record in content.array_records.values() for array in record.values())
    figures = sum(8 + len(name) for record in content.metric_records.values() for name in record)
    words = sum(
        len(name) + len(str(value).encode())
        for record in content.config_records.values()
        for name, value in record.items()
    )
    return arrays + figures + words


class InProcessGrid(Grid):
    """Carries messages to ClientApps in this process: Flower's grid without a network, milliseconds a round.

    Parameters
    ----------
    nodes : mapping of str to mapping
        A node's name and its node configuration, as ``--node-config`` gives it to a deployed one.
    client_app : str
        ``module:name`` of the ClientApp, by string as Flower names it.
    """

    def __init__(self, nodes: Mapping[str, Mapping[str, str]], client_app: str = "client.app:app") -> None:
        self._run = next(_runs)
        self._names = dict(enumerate(nodes, start=2))  # 1 is the coordinator
        self._contexts = {
            number: Context(self._run, number, dict(nodes[name]), RecordDict(), {})
            for number, name in self._names.items()
        }
        module, _, attribute = client_app.partition(":")
        self._app = cast(ClientApp, getattr(import_module(module), attribute))
        self._replies: dict[str, Message] = {}
        self._sent = 0
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = (
            self._run,
            1,
            1,
        )  # a message takes its sender from here
        self.observers: list[Callable[[Message], None]] = []  # see every message that crosses, for tests and traces

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """The one run."""
        return Run.create_empty(run_id=self._run)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Create a message as `flwr.app.Message` does."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Give the numbers of the nodes."""
        return list(self._names)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Give the nodes with their names."""
        return [NodeInfo(node_id=number, name=name) for number, name in self._names.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages, and keep the replies until they are pulled."""
        return [self._deliver(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Hand over the replies to these messages."""
        return [self._replies.pop(number) for number in message_ids if number in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Deliver messages and give the replies."""
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> str:
        self._sent += 1
        number = str(self._sent)
        message.metadata.__dict__["_message_id"] = number
        reply = self._app(message, self._contexts[message.metadata.dst_node_id])
        for observe in self.observers:
            observe(message)
            observe(reply)
        self._replies[number] = reply
        return number
