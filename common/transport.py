"""Tasks and answers as Flower messages, and the grid that carries them within one process.

Every reach into Flower beyond `flwr.app`, `flwr.clientapp` and `flwr.serverapp` is in this file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import cast

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.tasks import Answer, Request

ARRAYS, CONFIG, FIGURES = "arrays", "config", "figures"
WEIGHT = "num-examples"  # the figure by which Flower's strategies weigh a site
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
    """Take an answer out of a message's content, at the coordinator."""
    config = message.content.config_records[CONFIG]
    arrays = message.content.array_records.get(ARRAYS, ArrayRecord())
    return Answer(
        code=str(config["code"]),
        site=str(config["site"]),
        facts=str(config["facts"]),
        figures={name: cast(float, value) for name, value in message.content.metric_records[FIGURES].items()},
        arrays={name: array.numpy() for name, array in arrays.items()},
    )


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
