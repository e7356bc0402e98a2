"""Brings messages to nodes and replies back over the grid that Flower hands in, and waits for nodes that are away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from common.errors import WireError
from common.failures import Handling
from common.grid import NOT_PUSHED
from common.tasks import Answer
from common.transport import answer_of, arrays_in, payload_bytes
from server.exchange import Crossing, Errand, Exchange

_PAUSE = 0.2  # seconds between looks for replies that are not there yet
_AGAIN = 5.0  # seconds until a node that was away is sent its message again
UNREACHABLE, MALFORMED = "unreachable", "malformed"  # codes of our own, which no site can send


class Carrier:
    """Carries messages to nodes, and counts what crosses.

    Parameters
    ----------
    grid : Grid
        Flower's, or `common.grid.InProcessGrid`.
    tell : callable
        Hears once who is waited for, who went away, and who is back.
    """

    def __init__(self, grid: Grid, tell: Callable[[str], None] = lambda line: None) -> None:
        self.grid = grid
        self.tell = tell
        self.exchange = Exchange()

    def nodes(self, wanted: Sequence[str], seconds: float) -> list[NodeInfo]:
        """Wait until the wanted sites are connected, or the time is up; nodes without a name may be any site."""
        deadline, told = time.monotonic() + seconds, False
        while True:
            nodes = [node for node in self.grid.get_nodes() if not node.name or node.name in wanted]
            if len(nodes) >= len(wanted) or time.monotonic() > deadline:
                return nodes
            if not told:
                there = {node.name for node in nodes}
                missing = ", ".join(name for name in wanted if name not in there)
                self.tell(f"not connected: {missing}; waiting for up to {seconds:.0f} seconds")
                told = True
            time.sleep(_PAUSE)

    def carry(
        self, messages: Mapping[int, Message], names: Mapping[int, str], errand: Errand, handling: Handling
    ) -> dict[int, Answer]:
        """Send messages and wait for the replies; who does not answer in time is left out.

        A node that Flower reports away gets its message again until `handling.away` is over. That does no harm: the
        same task gives the same answer.
        """
        answers: dict[int, Answer] = {}
        deadline = time.monotonic() + handling.timeout
        pending = self._push(messages, list(messages), names, errand, handling.timeout)
        away: dict[int, float] = {}  # since when
        again = self._unsent(list(messages), pending, away, handling)  # from when on
        while (pending or again) and time.monotonic() <= deadline:
            for reply in self.grid.pull_messages(list(pending)):
                # by the message that it answers: the reply of an unreachable node has no sender of its own
                node, now = pending.pop(reply.metadata.reply_to_message_id, None), time.monotonic()
                if node is None:
                    continue  # a second answer to what has been answered
                answer = self._take(reply, names[node], errand)
                if answer.code == UNREACHABLE and now - away.get(node, now) < handling.away:
                    if node not in away:
                        self.tell(f"{errand}: site {names[node]}: away; asked again for {handling.away:g} seconds")
                    away.setdefault(node, now)
                    again[node] = now + _AGAIN
                    continue
                if answer.code != UNREACHABLE and node in away:
                    self.tell(f"{errand}: site {names[node]}: back")
                answers[node] = answer
            due = [node for node, moment in again.items() if moment <= time.monotonic()]
            again = {node: moment for node, moment in again.items() if node not in due}
            sent = self._push(messages, due, names, errand, deadline - time.monotonic())
            again |= self._unsent(due, sent, away, handling)
            pending |= sent
            if pending or again:
                time.sleep(_PAUSE)
        unanswered = {node: Answer(UNREACHABLE, names[node]) for node in again}
        return {node: (answers | unanswered)[node] for node in messages if node in answers or node in unanswered}

    def _push(
        self,
        messages: Mapping[int, Message],
        nodes: Sequence[int],
        names: Mapping[int, str],
        errand: Errand,
        seconds: float,
    ) -> dict[str, int]:
        """Send to some nodes; give the nodes by the number of what was sent to them."""
        if not nodes or seconds <= 0:
            return {}
        for node in nodes:
            self._note(names[node], "out", messages[node].content, errand)
        # A message is pushed once: Flower knows it by its content and drops a second one. Late answers expire.
        fresh = [_again(messages[node], node, seconds) for node in nodes]
        try:
            numbers = list(self.grid.push_messages(fresh))
        except NOT_PUSHED:
            return {}
        return {number: node for number, node in zip(numbers, nodes, strict=False) if number}

    def _unsent(
        self, nodes: Sequence[int], sent: Mapping[str, int], away: dict[int, float], handling: Handling
    ) -> dict[int, float]:
        """Give when to send again to the nodes whose message did not get as far as the SuperLink."""
        now = time.monotonic()
        left = [node for node in nodes if node not in sent.values()]
        return {node: now + _AGAIN for node in left if now - away.setdefault(node, now) < handling.away}

    def _take(self, reply: Message, site: str, errand: Errand) -> Answer:
        """Read one reply; one that is not of our form is an answer of its own kind, never an exception."""
        if reply.has_error():
            return Answer(UNREACHABLE, site)
        try:
            self._note(site, "back", reply.content, errand)
            return answer_of(reply)
        except (WireError, TypeError, ValueError):
            return Answer(MALFORMED, site)

    def _note(self, site: str, direction: str, content: RecordDict, errand: Errand) -> None:
        names, numbers = arrays_in(content)
        crossing = (site, direction, names, numbers, payload_bytes(content))
        self.exchange.crossings.append(Crossing(errand.embedding, errand.seed, errand.phase, errand.round, *crossing))


def _again(message: Message, node: int, seconds: float) -> Message:
    """Give a message of its own with the same content, that expires with the try."""
    return Message(message.content, node, message.metadata.message_type, ttl=seconds)
