"""Which model of a run: the words that its file of weights is named by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from common.config import Federation
from common.strategies import EVERYTHING, POOLED, SOURCE, STRATEGIES

_LONGEST = 100  # characters of the sources' names in a file's name


@dataclass(frozen=True)
class Key:
    """One model of a run.

    Attributes
    ----------
    embedding : str
    seed : int
    sources : str
        Names of the sites where it was learnt, joined by "+"; empty for "pooled".
    strategy : str
        "source", as the sources learnt it; "pooled"; or the transfer strategy by which a target made it its own.
    target : str
        That target; empty for the first two.
    """

    embedding: str
    seed: int
    sources: str
    strategy: str
    target: str = ""

    @property
    def name(self) -> str:
        """Name of its file of weights, without the ending, as a run gives it."""
        joined = self.sources
        if len(joined) > _LONGEST:
            count = joined.count("+") + 1
            joined = f"{count}-sites-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
        what = f"{self.strategy}-{self.target}" if self.target else self.strategy
        return "_".join(filter(None, [self.embedding, str(self.seed), joined, what]))

    @property
    def origin(self) -> Key:
        """The model that it was made from; itself where it was learnt at the sources."""
        return Key(self.embedding, self.seed, self.sources, SOURCE) if self.target else self

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the model that its own file holds; the rest is its origin's."""
        return STRATEGIES[self.strategy].kept if self.target else EVERYTHING

    @property
    def words(self) -> str:
        """What people are told of it."""
        return f"{self.words_but_seed}, seed {self.seed}"

    @property
    def words_but_seed(self) -> str:
        """The same of all seeds."""
        learnt = f", from {self.sources}" if self.sources else ""
        tuned = f" at {self.target}" if self.target else ""
        return f"embedding {self.embedding}{learnt}, strategy {self.strategy}{tuned}"


def keys_of(federation: Federation) -> Iterator[Key]:
    """Give every model of which a run of this federation may keep weights, in the order of its configuration."""
    for embedding in federation.embeddings:
        for seed in federation.seeds:
            for direction in federation.directions:
                sources = "+".join(direction.sources)
                yield Key(embedding, seed, sources, SOURCE)
                for name in federation.strategies:
                    if name != POOLED and STRATEGIES[name].from_sources and STRATEGIES[name].kept:
                        yield from (Key(embedding, seed, sources, name, target) for target in direction.targets)
            if POOLED in federation.strategies:
                yield Key(embedding, seed, "", POOLED)
