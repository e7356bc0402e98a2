"""The coordinator's one door to the sites: sends by site name, insists on every answer, and counts what crosses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from common.config import Failures
from common.errors import SiteError, WireError
from common.tasks import Answer
from common.transport import ARRAYS, CONFIG, answer_of, arrays_in, payload_bytes
from server.answers import Check, fault, site_of
from server.exchange import Crossing, Exchange
from server.journal import Journal

_PAUSE = 0.2  # seconds between looks for replies that are not there yet


@dataclass(frozen=True)
class Errand:
    """What a batch of messages is for; goes into the account of what crossed."""

    phase: str
    embedding: str
    seed: int
    round: int = 0


def message_to(node: int, task: str, arrays: ArrayRecord | None = None, kind: str = "train") -> Message:
    """Give the message that carries a task to a node."""
    content = RecordDict({CONFIG: ConfigRecord({"task": task})})
    if arrays is not None:
        content[ARRAYS] = arrays
    return Message(content, node, kind)


class Courier:
    """Carries tasks to sites and brings their answers, in the order of the configuration.

    Parameters
    ----------
    grid : Grid
        Flower's, or `common.transport.InProcessGrid`.
    failures : Failures
        What happens when a site fails, is late or answers wrongly.
    journal : Journal
        Answers that need not be asked for again.
    """

    def __init__(self, grid: Grid, failures: Failures, journal: Journal) -> None:
        self.journal = journal
        self.grid = grid
        self.failures = failures
        self.exchange = Exchange()
        self.nodes: dict[str, int] = {}
        self.absent: list[str] = []  # who failed and was gone on without, with the reason, as told to the user

    def meet(self, task: str, errand: Errand, wanted: Sequence[str]) -> dict[str, Answer]:
        """Greet every node, learn which site each one is, and give the answers of the wanted sites.

        Raises
        ------
        SiteError
            A wanted site is not there, two nodes answer under one name, or a site cannot answer.
        """
        named = {node.node_id: node.name for node in self._nodes(wanted)}
        messages = {node: message_to(node, task, kind="query") for node in named}
        replies = self._exchange(messages, {node: name or f"node {node}" for node, name in named.items()}, errand)
        answers: dict[str, Answer] = {}
        for node, answer in replies.items():
            site = site_of(answer, named[node] or f"node {node}")
            if site in answers:
                raise SiteError(f"two sites answer under the name {site!r}; each needs a name of its own")
            answers[site], self.nodes[site] = answer, node
        missing = [name for name in wanted if name not in answers]
        if missing:
            raise SiteError(f"sites not connected: {', '.join(missing)}; connected: {', '.join(answers) or 'none'}")
        return {name: answers[name] for name in wanted}

    def ask(
        self,
        messages: Mapping[str, Message],
        errand: Errand,
        check: Check,
        taken: frozenset[str] = frozenset(),
        at_least: int = 0,
    ) -> dict[str, Answer]:
        """Send one message to each named site and give the good answers, in the order of `messages`.

        Parameters
        ----------
        check : callable
            Raises `WireError` for a good answer that cannot be used; the site has then failed.
        taken : frozenset of str
            Codes other than "ok" that are an answer here, not a failure.
        at_least : int
            Sites without whose answers the run cannot go on, even where its policy is to go on without some.

        Raises
        ------
        SiteError
            Sites failed, and the configured policy does not let the run go on without them. Names each, and why.
        """
        known = self.journal.recall(messages)
        if known is not None:
            answers, crossings, absent = known
            self.exchange.crossings += crossings
            self.absent += absent
            return answers
        before = len(self.exchange.crossings), len(self.absent)
        answers, failed = self._insist(messages, errand, check, taken)
        self._judge(failed, len(answers), errand, at_least)
        answers = {site: answers[site] for site in messages if site in answers}
        self.journal.keep(messages, answers, self.exchange.crossings[before[0] :], self.absent[before[1] :])
        return answers

    def _insist(
        self, messages: Mapping[str, Message], errand: Errand, check: Check, taken: frozenset[str]
    ) -> tuple[dict[str, Answer], dict[str, str]]:
        """Ask, and ask again where it failed; give the answers, and the reasons of those who did not give one."""
        answers: dict[str, Answer] = {}
        failed: dict[str, str] = {}
        names = {self.nodes[site]: site for site in messages}
        for _ in range(self.failures.retries + 1):
            left = {self.nodes[site]: message for site, message in messages.items() if site not in answers}
            failed = {names[node]: "no answer in time" for node in left}
            for node, answer in self._exchange(left, names, errand).items():
                why = fault(answer, names[node], check, taken)
                if why:
                    failed[names[node]] = why
                else:
                    answers[names[node]] = answer
                    del failed[names[node]]
            if not failed:
                break
        return answers, failed

    def _judge(self, failed: dict[str, str], answered: int, errand: Errand, at_least: int) -> None:
        """Stop, or note by name who is missing."""
        if not failed:
            return
        said = "; ".join(f"site {site}: {reason}" for site, reason in failed.items())
        where = f"{errand.phase}, round {errand.round}" if errand.round else errand.phase
        if self.failures.policy == "stop" or answered < at_least:
            raise SiteError(f"{where}: {said}")
        self.absent += [f"{where}: site {site}: {reason}" for site, reason in failed.items()]

    def _exchange(self, messages: Mapping[int, Message], names: Mapping[int, str], errand: Errand) -> dict[int, Answer]:
        """Send messages to nodes and wait for the replies; a node that does not answer in time is left out."""
        for node, message in messages.items():
            self._note(names[node], "out", message.content, errand)
        # A message is pushed once: Flower knows it by its content and drops a second one. Late answers expire.
        fresh = {n: _again(message, n, self.failures.timeout) for n, message in messages.items()}
        numbers = list(self.grid.push_messages(fresh.values()))
        pending = {number: node for number, node in zip(numbers, fresh, strict=False) if number}
        answers: dict[int, Answer] = {}
        deadline = time.monotonic() + self.failures.timeout
        while pending:
            for reply in self.grid.pull_messages(list(pending)):
                # by the message that it answers: the reply of an unreachable node has no sender of its own
                node = pending.pop(reply.metadata.reply_to_message_id)
                answers[node] = self._take(reply, names[node], errand)
            if not pending or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        return {node: answers[node] for node in messages if node in answers}

    def _take(self, reply: Message, site: str, errand: Errand) -> Answer:
        """Read one reply; one that is not of our form is an answer of its own kind, never an exception."""
        if reply.has_error():
            return Answer("unreachable", site)
        try:
            self._note(site, "back", reply.content, errand)
            return answer_of(reply)
        except (WireError, TypeError, ValueError):
            return Answer("malformed", site)

    def _note(self, site: str, direction: str, content: RecordDict, errand: Errand) -> None:
        names, numbers = arrays_in(content)
        crossing = (site, direction, names, numbers, payload_bytes(content))
        self.exchange.crossings.append(Crossing(errand.embedding, errand.seed, errand.phase, errand.round, *crossing))

    def _nodes(self, wanted: Sequence[str]) -> list[NodeInfo]:
        """Wait until the wanted sites are connected, or the time is up; nodes without a name may be any site."""
        deadline = time.monotonic() + self.failures.timeout
        while True:
            nodes = [node for node in self.grid.get_nodes() if not node.name or node.name in wanted]
            if len(nodes) >= len(wanted) or time.monotonic() > deadline:
                return nodes
            time.sleep(_PAUSE)


def _again(message: Message, node: int, seconds: float) -> Message:
    """Give a message of its own with the same content, that expires with the round."""
    return Message(message.content, node, message.metadata.message_type, ttl=seconds)
