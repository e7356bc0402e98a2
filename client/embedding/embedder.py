"""What turns texts into vectors, seen from the builder: a model on this machine, or a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # texts done, texts in all


class Embedder(Protocol):
    """Turns a batch of texts into vectors. `client.embedding.local` and `client.embedding.service` hold the two."""

    @property
    def origin(self) -> Origin:
        """Say where the vectors come from."""

    @property
    def batch(self) -> int:
        """Texts at a time."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """Give the vectors of at most `batch` canonical texts, float32 (len(texts), D)."""


@dataclass(frozen=True)
class Origin:
    """Everything that decides what vector a text gets.

    Parameters
    ----------
    revision : str
        SHA-256 of a model's weights, or what is known of a service's model.
    pooling : str
        How a text's vector is taken, without the prefix.
    prefix : str
        What is put before each text.
    more : mapping of str to str
        What else tells one cache from another, but is no business of other sites: a service's address, say.
    """

    revision: str
    pooling: str
    prefix: str
    more: Mapping[str, str]

    @property
    def word(self) -> str:
        """The pooling as the table records it and sites compare it, with the prefix."""
        return f"{self.pooling}, prefix {json.dumps(self.prefix, ensure_ascii=False)}" if self.prefix else self.pooling

    def to_json(self) -> str:
        """Give all of it as one line of JSON."""
        named = {"revision": self.revision, "pooling": self.pooling, "prefix": self.prefix, **self.more}
        return json.dumps(named, sort_keys=True)
