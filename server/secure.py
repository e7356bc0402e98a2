"""The coordinator's part of a secure round: it gathers masked updates, and shares that open nothing but their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from numpy.typing import NDArray

from common.errors import SiteError, WireError
from common.figures import WEIGHT
from common.secure.crypto import Words, mask
from common.secure.fixed import EXTRA, MASKED, Update, decode
from common.secure.group import AGREE, OPEN
from common.secure.rules import shares_needed, threshold
from common.secure.said import Agreed, Masked, Opened, check_masked, check_opened, read
from common.secure.shares import from_text, join
from common.strategies import EVERYTHING
from common.tasks import Answer, Work
from common.transport import CONFIG
from common.wire import Flat, array_name
from server.answers import Check
from server.courier import Courier
from server.exchange import Errand


@dataclass(frozen=True)
class SecureRound:
    """One round over sources whose updates the coordinator does not see.

    Attributes
    ----------
    courier : Courier
    work : Work
        The task of the round, its part `secure` with stage "mask".
    messages : mapping of str to Message
        That task for every source, in the order of the configuration.
    errand : Errand
    at_least : int
        Sources that the configuration asks for; the sum needs more than two thirds of them in any case.
    """

    courier: Courier
    work: Work
    messages: Mapping[str, Message]
    errand: Errand
    at_least: int

    def total(self, size: int) -> Update:
        """Give the mean update, of `size` weights, over the sources that are left.

        Raises
        ------
        SiteError
            Too few sources are left, or what came cannot be a sum of updates.
        """
        check = partial(_check_update, size=size, sites=list(self.messages))
        masked = self.courier.ask(self.messages, self.errand, check, at_least=max(self.at_least, self._needed))
        left = tuple(masked)
        gone = [site for site in self.messages if site not in masked]
        opened = self._opened(left, gone, {site: read(Masked, answer) for site, answer in masked.items()})
        total = unmasked(list(self.messages), {site: answer.arrays[MASKED] for site, answer in masked.items()}, opened)
        try:
            return decode(total, len(left))
        except WireError as error:
            raise SiteError(
                f"{self.errand}: {error}; one of {', '.join(left)} sent what is no update, or wrong shares: a secure "
                "sum does not tell which"
            ) from None

    @property
    def _needed(self) -> int:
        return threshold(len(self.messages))

    def _opened(self, left: tuple[str, ...], gone: list[str], said: Mapping[str, Masked]) -> dict[str, Opened]:
        """Let those who are left agree that they are, where it is not all, and give their shares."""
        signatures = {}
        if gone:
            signed = self._ask(AGREE, left, {site: {} for site in left}, _check_signature)
            signatures = {site: read(Agreed, answer).signature for site, answer in signed.items()}
        steps = {
            site: {
                "sealed": {other: said[other].sealed[site] for other in left if other != site},
                "signatures": signatures,
            }
            for site in left
        }
        answers = self._ask(OPEN, left, steps, partial(_check_shares, left=left, gone=gone))
        return {site: read(Opened, answer) for site, answer in answers.items()}

    def _ask(
        self, stage: str, left: tuple[str, ...], steps: Mapping[str, dict[str, Any]], check: Check
    ) -> dict[str, Answer]:
        needed = self._needed if stage == AGREE else shares_needed(len(self.messages))
        messages = {}
        for site, more in steps.items():
            content = self.work.model_dump(mode="json")
            content["secure"] |= {"stage": stage, "left": left, **more}
            # beside the task stands what else Flower's strategy says, such as FedProx's weight: the site looks at it
            config = dict(self.messages[site].content.config_records[CONFIG])
            config["task"] = Work.model_validate(content).model_dump_json()
            messages[site] = Message(RecordDict({CONFIG: ConfigRecord(config)}), self.courier.nodes[site], "train")
        return self.courier.ask(messages, self.errand, check, at_least=needed, attended=False)


def unmasked(order: list[str], masked: Mapping[str, NDArray[np.generic]], opened: Mapping[str, Opened]) -> Words:
    """Add up masked updates and take off the masks that do not cancel.

    Parameters
    ----------
    order : list of str
        All members of the round.
    masked : mapping of str to ndarray
        What came of those who are left, uint64 (P,).
    opened : mapping of str to Opened
        The shares of at least as many as are needed.

    Returns
    -------
    ndarray
        uint64 (P,): the sum of what was masked.
    """
    gone = [site for site in order if site not in masked]
    said = {order.index(site) + 1: each for site, each in list(opened.items())[: shares_needed(len(order))]}
    total: Words = np.zeros(next(iter(masked.values())).shape, np.uint64)
    for words in masked.values():
        total += words.astype(np.uint64)
    for site in masked:
        total -= mask(join({place: from_text(each.own[site]) for place, each in said.items()}), len(total))
        for other in gone:
            seed = join({place: from_text(each.pairs[site][other]) for place, each in said.items()})
            if order.index(site) < order.index(other):
                total -= mask(seed, len(total))
            else:
                total += mask(seed, len(total))
    return total


def mean_of(total: Update, came: Flat) -> Answer:
    """Give the answer that one site with all the encounters would have given; its weights are float64."""
    weights = came.astype(np.float64) + total.change
    return Answer("ok", "", {WEIGHT: total.encounters}, arrays={array_name(EVERYTHING): weights})


def _check_update(site: str, answer: Answer, *, size: int, sites: list[str]) -> None:
    """Check a masked update as far as it can be seen: its form, and that there are shares for every other site."""
    values = answer.arrays.get(MASKED)
    if len(answer.arrays) != 1 or values is None or values.dtype != np.uint64 or values.shape != (size + EXTRA,):
        raise WireError(f"expected the array {MASKED} of {size + EXTRA:,} uint64 and no other")
    if answer.figures:
        raise WireError("figures beside a masked update")
    check_masked(read(Masked, answer), [other for other in sites if other != site])


def _check_signature(_site: str, answer: Answer) -> None:
    """Check that a signature came; whether it is one, the sites check for themselves."""
    read(Agreed, answer)
    _check_bare(answer)


def _check_shares(_site: str, answer: Answer, *, left: tuple[str, ...], gone: list[str]) -> None:
    check_opened(read(Opened, answer), left, gone)
    _check_bare(answer)


def _check_bare(answer: Answer) -> None:
    if answer.arrays or answer.figures:
        raise WireError("arrays or figures beside shares")
