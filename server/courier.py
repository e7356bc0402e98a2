"""The coordinator's one door to the sites: asks by site name, insists on every answer, names who gave none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from common.errors import SiteError
from common.failures import Failures, Handling, Phase
from common.tasks import Answer
from common.transport import ARRAYS, CONFIG
from server.answers import Check, fault, lasting, site_of
from server.attendance import Attendance
from server.carrier import Carrier
from server.exchange import Errand, Exchange
from server.journal import Journal


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
        Flower's, or `common.grid.InProcessGrid`.
    failures : Failures
        What happens when a site is away, late, fails or answers wrongly.
    journal : Journal
        Answers that need not be asked for again.
    attendance : Attendance
        Told who contributed to each round, and who was missing.
    tell : callable
        Told at once, in a line, of a site that failed.
    """

    def __init__(
        self,
        grid: Grid,
        failures: Failures,
        journal: Journal,
        attendance: Attendance | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.carrier = Carrier(grid, lambda line: self.tell(line))
        self.failures = failures
        self.journal = journal
        self.attendance = attendance
        self.tell = tell
        self.nodes: dict[str, int] = {}
        self.absent: list[str] = []  # who failed and was gone on without, with the reason, as told to the user

    @property
    def grid(self) -> Grid:
        """Flower's grid, or one in process."""
        return self.carrier.grid

    @property
    def exchange(self) -> Exchange:
        """All that crossed."""
        return self.carrier.exchange

    def meet(self, task: str, errand: Errand, wanted: Sequence[str]) -> dict[str, Answer]:
        """Greet every node, learn which site each one is, and give the answers of the wanted sites.

        Raises
        ------
        SiteError
            A wanted site is not there, two nodes answer under one name, or a site cannot answer.
        """
        handling = self.failures.at("greeting")
        found = self.carrier.nodes(wanted, min(handling.timeout, handling.away))
        named = {node.node_id: node.name or f"node {node.node_id}" for node in found}
        messages = {node: message_to(node, task, kind="query") for node in named}
        answers: dict[str, Answer] = {}
        for node, answer in self._greeted(messages, named, errand, handling).items():
            site = site_of(answer, named[node])
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
        phase: Phase = "training",
        attended: bool = True,
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
        phase : str
            Whose handling of failures holds.
        attended : bool
            Whether it counts as a round in which sites contributed, or did not.

        Raises
        ------
        SiteError
            Sites failed, and the configured policy does not let the run go on without them. Names each, and why.
        """
        known = self.journal.recall(messages)
        if known is not None:
            self.exchange.crossings += known.crossings
            self.absent += known.absent
            if attended:
                self._attend(errand, messages, known.answers, known.failed)
            return known.answers
        before = len(self.exchange.crossings), len(self.absent)
        handling = self.failures.at(phase)
        answers, failed = self._insist(messages, errand, check, taken, handling)
        self._judge(failed, len(answers), errand, at_least, handling)
        answers = {site: answers[site] for site in messages if site in answers}
        self.journal.keep(messages, answers, self.exchange.crossings[before[0] :], self.absent[before[1] :], failed)
        if attended:
            self._attend(errand, messages, answers, failed)
        return answers

    def _greeted(
        self, messages: Mapping[int, Message], names: Mapping[int, str], errand: Errand, handling: Handling
    ) -> dict[int, Answer]:
        """Greet, and greet again those who failed in a way that may pass."""
        replies: dict[int, Answer] = {}
        for _ in range(handling.retries + 1):
            left = {node: m for node, m in messages.items() if node not in replies or not lasting(replies[node].code)}
            if not left:
                break
            replies |= self.carrier.carry(left, names, errand, handling)
        return {node: replies[node] for node in messages if node in replies}

    def _insist(
        self, messages: Mapping[str, Message], errand: Errand, check: Check, taken: frozenset[str], handling: Handling
    ) -> tuple[dict[str, Answer], dict[str, str]]:
        """Ask, and ask again where it failed; give the answers, and the reasons of those who did not give one."""
        answers: dict[str, Answer] = {}
        failed: dict[str, str] = {}
        final: set[str] = set()
        names = {self.nodes[site]: site for site in messages}
        for attempt in range(handling.retries + 1):
            asked = [site for site in messages if site not in answers and site not in final]
            left = {self.nodes[site]: messages[site] for site in asked}
            failed |= dict.fromkeys(asked, f"no answer within {handling.timeout:g} seconds")
            for node, answer in self.carrier.carry(left, names, errand, handling).items():
                site, why = names[node], fault(answer, names[node], check, taken)
                if not why:
                    answers[site] = answer
                    del failed[site]
                    continue
                failed[site] = why
                if answer.code != "ok" and lasting(answer.code):
                    final.add(site)
            if not failed.keys() - final:
                break
            if attempt < handling.retries:
                self._say(errand, {site: why for site, why in failed.items() if site not in final}, "; asked again")
        return answers, failed

    def _judge(self, failed: dict[str, str], answered: int, errand: Errand, at_least: int, handling: Handling) -> None:
        """Stop, or note by name who is missing."""
        if not failed:
            return
        if handling.policy == "stop" or answered < at_least:
            raise SiteError(f"{errand}: {'; '.join(f'site {site}: {reason}' for site, reason in failed.items())}")
        self.absent += [f"{errand}: site {site}: {reason}" for site, reason in failed.items()]
        self._say(errand, failed, "; gone on without it")

    def _say(self, errand: Errand, failed: Mapping[str, str], what: str) -> None:
        for site, reason in failed.items():
            self.tell(f"{errand}: site {site}: {reason}{what}")

    def _attend(
        self, errand: Errand, asked: Mapping[str, Message], answers: Mapping[str, Answer], failed: Mapping[str, str]
    ) -> None:
        if self.attendance is not None:
            self.attendance.note(errand, list(asked), answers, failed)
