"""The ids of encounters as digests: 16 bytes each, whatever the ids are.

Two ids are one if their digests are: 128 bits of SHA-256 of different ids have never been found equal, and among ten
million ids they are by chance with probability 1.5e-25. The draw of a split by hash is the same digest's first bits.

Letters: N rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16  # names digested before their digests are laid aside
_PAIR = np.dtype([("head", np.uint64), ("tail", np.uint64)])


def digests(seed: int, names: Sequence[str] | NDArray[np.int64]) -> NDArray[np.uint64]:
    """Give the first 16 bytes of SHA-256 of "seed|name", two big-endian halves for each name, uint64 (N, 2)."""
    found = np.empty((len(names), 2), dtype=np.uint64)
    sha256 = hashlib.sha256
    for start in range(0, len(names), _BLOCK):
        some = names[start : start + _BLOCK]
        whole = b"".join([sha256(f"{seed}|{name}".encode()).digest() for name in some])
        found[start : start + _BLOCK] = np.frombuffer(whole, dtype=">u8").reshape(-1, 4)[:, :2]
    return found


@dataclass(frozen=True, eq=False)
class Ids:
    """The ids of rows.

    Attributes
    ----------
    seed : int
        Of the digests.
    keys : uint64 array (N, 2)
        As `digests` gives them.
    """

    seed: int
    keys: NDArray[np.uint64]

    def take(self, kept: NDArray[np.bool_]) -> Ids:
        """Keep the rows where `kept`, a bool array (N,), is true."""
        return Ids(self.seed, self.keys[kept])

    def blank(self) -> NDArray[np.bool_]:
        """Tell which rows have a blank id, bool (N,)."""
        same: NDArray[np.bool_] = (self.keys == digests(self.seed, [""])).all(axis=1)
        return same

    def repeated(self) -> NDArray[np.bool_]:
        """Tell which rows have the id of another row too, bool (N,)."""
        repeated = np.zeros(len(self.keys), dtype=np.bool_)
        heads = np.sort(self.keys[:, 0])
        twice = heads[1:][heads[1:] == heads[:-1]]
        if len(twice):
            rows = np.flatnonzero(np.isin(self.keys[:, 0], twice))
            _, place, counts = np.unique(_pairs(self.keys[rows]), return_inverse=True, return_counts=True)
            repeated[rows] = counts[place] > 1
        return repeated

    def shared(self, other: Ids) -> NDArray[np.bool_]:
        """Tell which rows have an id that `other`, of the same seed, has too, bool (N,)."""
        shared = np.isin(self.keys[:, 0], other.keys[:, 0])
        if shared.any():
            theirs = other.keys[np.isin(other.keys[:, 0], self.keys[shared, 0])]
            shared[shared] = np.isin(_pairs(self.keys[shared]), _pairs(theirs))
        return shared


def _pairs(keys: NDArray[np.uint64]) -> NDArray[np.void]:
    """Give each row's two halves as one value, (N,)."""
    return np.ascontiguousarray(keys).view(_PAIR)[:, 0]
