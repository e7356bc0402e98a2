"""The grid that carries messages between both apps within one process: no network, milliseconds a round.

Every reach into Flower beyond `flwr.app`, `flwr.clientapp` and `flwr.serverapp`, for this purpose, is in this file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import cast

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

# What Flower's own grid raises when its SuperLink goes away while it is handed a message; all else it tries again.
NOT_PUSHED: tuple[type[Exception], ...] = (ObjectPushError,)

_runs = itertools.count(1)


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
