"""The phases of a run: sources learn a model together, then every target receives it and does what its strategy says.

The algorithm of the first phase is federated averaging (McMahan et al. 2017, arXiv 1602.05629) or another of Flower's
strategies; that of the second is Gao et al., arXiv 2409.13893.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from common import __version__
from common.config import Aggregation, Federation
from common.errors import SiteError, WireError
from common.failures import Phase
from common.figures import WEIGHT, name_of
from common.model import initial_weights
from common.recalibration import recalibrated, told
from common.secure.group import MASK, Secure
from common.secure.statements import mark_of
from common.seeds import derive
from common.selection import BestKept
from common.strategies import EVERYTHING, LINEAR, LOCAL, SOURCE, STRATEGIES
from common.tasks import Answer, Work
from common.transport import ARRAYS, content_of
from common.wire import Flat, allowed, array_name, pack, unpack
from server.aggregation import SourceStrategy, flower_strategy
from server.courier import Courier, message_to
from server.exchange import Errand
from server.greeting import Origin, Space
from server.likeness import Near
from server.personal import Shared, with_head
from server.secure import SecureRound, mean_of
from server.updates import Updates
from server.weighing import counted, prevalences, shares

_WHOLE = array_name(EVERYTHING)


@dataclass(frozen=True)
class Learnt:
    """A model that sources learnt together.

    Attributes
    ----------
    weights : ndarray
        float32, flat, CNN and linear.
    threshold : float or None
        Probability from which on an encounter is called positive; the sources' mean, weighted by encounters. None where
        no source has enough validation encounters to choose one.
    at_home : dict of str to Answer
        How it does at the sources.
    kept : int
        Round whose model this is.
    shares : dict of str to float
        How much each source counted in the last round, of 1; empty where sources are not weighed.
    """

    weights: Flat
    threshold: float | None
    at_home: dict[str, Answer]
    kept: int
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def auroc(self) -> float | None:
        """AUROC at the sources, on validation encounters; their mean, weighted by encounters."""
        return _mean(self.at_home, "validation.auroc", "validation.n")


@dataclass(frozen=True)
class _Gathered:
    """What came of a round: messages to join; the mean score of what came; of each source its weights and its share."""

    replies: list[Message]
    score: float | None
    made: Mapping[str, Flat] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)


@dataclass
class Phases:
    """The phases for one embedding space and one seed.

    Attributes
    ----------
    advance : callable
        Told what has just been done, for progress.
    updates : Updates
        Looks at each round's, and cuts those that are too long.
    near : mapping of tuple of str to dict
        For the sources of each direction, how like the target they are; where they are weighed by that.
    """

    courier: Courier
    federation: Federation
    origin: Origin
    space: Space
    seed: int
    advance: Callable[[str], None]
    updates: Updates
    near: Mapping[tuple[str, ...], Mapping[str, Near]] = field(default_factory=dict)

    def initial(self) -> Flat:
        """Draw the weights that training starts from."""
        shape, dimension = self.federation.model, self.space.dimension
        return pack(initial_weights(dimension, shape, derive(self.seed, "init")), EVERYTHING, dimension, shape)[_WHOLE]

    def learn(
        self,
        sources: Sequence[str],
        phase: str = SOURCE,
        aggregation: Aggregation | None = None,
        personal: bool = False,
    ) -> Learnt:
        """Let the sources train over the configured rounds, and keep the round with the best validation AUROC.

        Parameters
        ----------
        aggregation : Aggregation, optional
            Instead of the federation's.
        personal : bool
            Whether each source keeps a head of its own; what is learnt has an untrained one in its place.
        """
        training, by = self.federation.training, aggregation or self.federation.aggregation
        strategy = SourceStrategy(
            flower_strategy(by, len(sources)), {site: self.courier.nodes[site] for site in sources}
        )
        shared = Shared.begin(self.initial(), sources, self.size_of_head if personal else 0)
        best: BestKept[Shared] = BestKept(training.stop_after)
        parts: dict[str, float] = {}
        for number in range(1, training.rounds + 1):
            after, score, parts = self._round(strategy, by, shared, sources, number, phase)
            if number > 1:
                best.consider(score, shared)
            if best.exhausted:
                break  # what this round made is no candidate: a site that trains alone would have stopped before it
            shared = after
        return replace(self._keep(sources, best, shared, phase), shares=parts)

    def transfer(
        self, name: str, targets: Sequence[str], learnt: Learnt | None
    ) -> dict[str, tuple[Answer, Flat | None]]:
        """Send a model to targets under a transfer strategy; each gives its scores and what the strategy returns."""
        strategy = STRATEGIES[name]
        weights = learnt.weights if learnt is not None else self.initial()
        # A target that trains alone follows the sources' protocol, not that of tuning.
        training = self.federation.tuning if strategy.from_sources else self.federation.training
        work = self._work(
            strategy=name,
            training=training if strategy.tuned else None,
            score=("validation", "test"),
            choose_threshold=learnt is None and self.federation.model.binary,
            threshold=learnt.threshold if learnt is not None else None,
            intervals=self.federation.intervals,
            alone=self.federation.training if LOCAL in strategy.candidates else None,
            home=learnt.auroc if learnt is not None and strategy.candidates else None,
            prevalence=self.prevalence(learnt) if strategy.prior and learnt is not None else None,
        )
        arrays = {} if strategy.logistic else dict.fromkeys(targets, weights)
        answers = self._ask(targets, work, arrays, name, strategy.returned, of="transfer")
        self.advance(f"{name} at {', '.join(targets)}")
        if strategy.recalibrated:
            return {site: (answer, self._recalibrated(weights, answer)) for site, answer in answers.items()}
        if strategy.personal:
            tuned = {site: _flat(answer, strategy.returned) for site, answer in answers.items()}
            whole = {site: None if head is None else with_head(weights, head) for site, head in tuned.items()}
            return {site: (answer, whole[site]) for site, answer in answers.items()}
        return {site: (answer, _flat(answer, strategy.returned)) for site, answer in answers.items()}

    def _recalibrated(self, weights: Flat, answer: Answer) -> Flat | None:
        """Give the head that a target's numbers make of the one that it was sent."""
        figures, shape = told(answer.figures), self.federation.model
        if not figures:
            return None
        size = (self.space.dimension, shape)
        head = recalibrated(unpack({_WHOLE: weights}, EVERYTHING, *size), shape, figures)
        return pack(head, (LINEAR,), *size)[array_name((LINEAR,))]

    def prevalence(self, learnt: Learnt) -> tuple[float, ...] | None:
        """Give the prevalence where a model was learnt, of each question; None where sources do not tell."""
        return prevalences(self.federation.model, learnt.at_home, learnt.shares)

    def score(self, sites: Sequence[str], shared: Shared, phase: str) -> dict[str, Answer]:
        """Score a model where it was learnt, and choose the threshold there."""
        work = self._work(
            strategy="direct",
            score=("validation", "test"),
            choose_threshold=self.federation.model.binary,
            intervals=self.federation.intervals,
        )
        return self._ask(sites, work, {site: shared.at(site) for site in sites}, phase)

    def _round(
        self,
        strategy: SourceStrategy,
        by: Aggregation,
        shared: Shared,
        sources: Sequence[str],
        number: int,
        phase: str,
    ) -> tuple[Shared, float | None, dict[str, float]]:
        """Train one round: one message to each source carries both training and the score of what came.

        Gives what is shared then, the score of what came, and each source's share.
        """
        # under differential privacy the last round is kept: a choice would tell of validation patients
        score = ("validation",) if number > 1 and self.federation.privacy is None else ()
        work = self._work(strategy=SOURCE, round=number, training=self.federation.training, score=score)
        secured = by.secure and phase == SOURCE  # pooled, there is one site
        if secured:
            work = work.model_copy(update={"secure": self._masking(by, sources, shared.weights)})
        arrays = ArrayRecord({_WHOLE: Array(shared.weights)})
        config = ConfigRecord({"task": work.model_dump_json()})
        configured = strategy.configure_train(number, arrays, config, self.courier.grid)
        messages = dict(zip(sources, configured, strict=True))
        messages |= {site: _with_array(messages[site], shared.at(site)) for site in shared.heads}
        errand = self._errand(phase, number)
        got = self._summed(work, messages, shared, errand) if secured else self._seen(by, messages, shared, errand)
        joined, _ = strategy.aggregate_train(number, got.replies)
        if joined is None:
            raise SiteError(f"round {number}: no weights to go on with")
        self.advance(f"round {number} at {', '.join(sources)}")
        return shared.after(joined[_WHOLE].numpy(), got.made), got.score, got.shares

    def _seen(self, by: Aggregation, messages: Mapping[str, Message], shared: Shared, errand: Errand) -> _Gathered:
        """Gather a round's answers as they are."""
        answers = self.courier.ask(messages, errand, self._check_round, at_least=self._needed(messages))
        sent = {site: shared.at(site) for site in answers}
        used = self.updates.bounded(answers, sent, errand)
        counts = counted(by, used, self.near.get(tuple(messages), {}))
        replies = [Message(content_of(answer), reply_to=messages[site]) for site, answer in counts.items()]
        score = _mean(answers, "came.validation.auroc", "came.validation.n")
        made = {site: answer.arrays[_WHOLE].astype("float32", copy=False) for site, answer in answers.items()}
        return _Gathered(replies, score, made, shares(by, counts))

    def _summed(self, work: Work, messages: Mapping[str, Message], shared: Shared, errand: Errand) -> _Gathered:
        """Gather a round's answers as one, of the mean; nothing is known of any by itself."""
        secured = SecureRound(self.courier, work, messages, errand, self._needed(messages))
        total = secured.total(len(shared.weights))
        first = next(iter(messages.values()))
        reply = Message(content_of(mean_of(total, shared.weights)), reply_to=first)
        return _Gathered([reply], total.score if total.scored else None)

    def _needed(self, sources: Collection[str]) -> int:
        return min(self.federation.failures.at("training").at_least, len(sources))

    def _masking(self, by: Aggregation, sources: Sequence[str], weights: Flat) -> Secure:
        """Say with whom, and from which weights on, a source masks its update."""
        members = tuple(self.space.members[site] for site in sources)
        return Secure(stage=MASK, members=members, came=mark_of({_WHOLE: weights}), equal=by.weights == "equal")

    def _keep(self, sources: Sequence[str], best: BestKept[Shared], last: Shared, phase: str) -> Learnt:
        """Settle which round's model is kept, and score it at the sources; no later message scored the last round's."""
        at_home: dict[str, Answer] = {}
        if not best.exhausted:
            at_home = self.score(sources, last, phase)
            best.consider(_mean(at_home, "validation.auroc", "validation.n"), last)
        kept = last if best.weights is None else best.weights
        if not at_home or kept is not last:
            at_home = self.score(sources, kept, phase)
        untrained = self.initial()[-self.size_of_head :]
        weights = with_head(kept.weights, untrained) if kept.heads else kept.weights
        return Learnt(weights, mean_threshold(at_home), at_home, best.at)

    @property
    def size_of_head(self) -> int:
        """Numbers of a linear head."""
        return sum(prod(each) for each in allowed((LINEAR,), self.space.dimension, self.federation.model).values())

    def _work(self, **fields: object) -> Work:
        common = {
            "version": __version__,
            **vars(self.origin),
            "embedding": self.space.embedding,
            "model": self.federation.model,
            "seed": self.seed,
            "training": None,
            "privacy": self.federation.privacy,
        }
        return Work.model_validate(common | fields)

    def _ask(
        self,
        sites: Sequence[str],
        work: Work,
        weights: Mapping[str, Flat],
        phase: str,
        returned: tuple[str, ...] = (),
        of: Phase = "training",
    ) -> dict[str, Answer]:
        task, nodes = work.model_dump_json(), self.courier.nodes
        arrays = {site: ArrayRecord({_WHOLE: Array(values)}) for site, values in weights.items()}
        messages = {site: message_to(nodes[site], task, arrays.get(site)) for site in sites}
        # Too few patients for a number to leave the site is a finding about a target, and stops nothing.
        check = partial(self._check, returned)
        return self.courier.ask(messages, self._errand(phase), check, taken=frozenset({"too-few"}), phase=of)

    def _errand(self, phase: str, number: int = 0) -> Errand:
        return Errand(phase, self.space.embedding.name, self.seed, number)

    def _check(self, parts: tuple[str, ...], _site: str, answer: Answer) -> None:
        """Check what a site sent back: the named arrays, of the right size, finite; figures of what was asked."""
        if not {name_of(figure) for figure in answer.figures} <= {"", *self.federation.model.names}:
            raise WireError("a figure of a class or label that the federation does not name")
        unpack(answer.arrays, parts, self.space.dimension, self.federation.model)

    def _check_round(self, site: str, answer: Answer) -> None:
        """Check what a source sent back, and that it says on how many encounters it trained."""
        self._check(EVERYTHING, site, answer)
        if WEIGHT not in answer.figures:
            raise WireError(f"figure {WEIGHT} is missing")


def _with_array(message: Message, values: Flat) -> Message:
    """Give a message to the same node with another model."""
    content = RecordDict({**message.content, ARRAYS: ArrayRecord({_WHOLE: Array(values)})})
    return Message(content, message.metadata.dst_node_id, message.metadata.message_type)


def _flat(answer: Answer, parts: tuple[str, ...]) -> Flat | None:
    """Give the array of checked parts, if it came."""
    values = answer.arrays.get(array_name(parts))
    return None if values is None else values.astype("float32", copy=False)


def mean_threshold(at_home: Mapping[str, Answer]) -> float | None:
    """Give the threshold of several sources: their mean, weighted by validation encounters."""
    return _mean(at_home, "threshold", "validation.n")


def _mean(answers: Mapping[str, Answer], figure: str, weight: str) -> float | None:
    """Give a figure's mean over the sites that sent it, weighted by encounters, summed in their order."""
    given = [a.figures for a in answers.values() if figure in a.figures and a.figures.get(weight, 0) > 0]
    total = sum(figures[weight] for figures in given)
    return sum(figures[figure] * figures[weight] for figures in given) / total if given else None
