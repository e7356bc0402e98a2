"""What sources share between rounds: a whole model, or a CNN with a linear head for each source of its own.

FedPer (Arivazhagan et al. 2019, arXiv 1912.00818) leaves every head where it was trained. Sites keep nothing between
rounds here, so the coordinator hands each source its own head back; it is joined with no other and goes to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.wire import Flat


@dataclass(frozen=True)
class Shared:
    """What stands between two rounds.

    Attributes
    ----------
    weights : ndarray
        float32, flat, CNN and linear: the sources' joined.
    heads : mapping of str to ndarray
        Of each source its own last numbers of these; none where the head is joined, too.
    """

    weights: Flat
    heads: Mapping[str, Flat]

    @classmethod
    def begin(cls, weights: Flat, sources: Sequence[str], head: int) -> Shared:
        """Begin with one model at every source; `head` numbers of it stay with each, or 0."""
        return cls(weights, dict.fromkeys(sources, weights[len(weights) - head :]) if head else {})

    def at(self, site: str) -> Flat:
        """Give the model that a source goes on with, and is scored with."""
        return with_head(self.weights, self.heads[site]) if site in self.heads else self.weights

    def after(self, joined: Flat, answered: Mapping[str, Flat]) -> Shared:
        """Give what stands after a round: what was joined, and the heads of those who answered anew."""
        own = {site: answered[site][-len(head) :] for site, head in self.heads.items() if site in answered}
        return Shared(joined, {**self.heads, **own})


def with_head(weights: Flat, head: Flat) -> Flat:
    """Put a head in the place of a model's own."""
    return np.concatenate([weights[: len(weights) - len(head)], head])
