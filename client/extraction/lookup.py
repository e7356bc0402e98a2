"""Finds ids among many, batch after batch, without a Python object for each and without building a table each time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

_KEYS = tuple(f"sitebridge-{number:05d}" for number in range(16))  # pandas hashes with 16 bytes


class Lookup:
    """The positions of M different ids.

    Parameters
    ----------
    ids : Arrow array of text (M,)
        Each once, without null.
    """

    def __init__(self, ids: pa.Array) -> None:
        for key in _KEYS:  # two ids of one hash: another key; 10 million ids want one in 400,000 times
            hashes = _hash(ids, key)
            order = np.argsort(hashes, kind="stable")
            if (np.diff(hashes[order]) > 0).all():
                break
        else:
            raise AssertionError("an id is given twice")
        self._key, self._order = key, order.astype(np.int32)
        self._hashes, self._ids = hashes[order], ids

    def find(self, ids: pa.Array) -> NDArray[np.int64]:
        """Give the position of each id, int64 (N,); -1 where there is none, or null is asked."""
        if len(self._hashes) == 0 or len(ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        asked = ids.dictionary_encode()
        place = np.minimum(np.searchsorted(self._hashes, _hash(asked.dictionary, self._key)), len(self._hashes) - 1)
        position = self._order[place].astype(np.int64)
        same = pc.equal(self._ids.take(pa.array(position)), asked.dictionary).to_numpy(zero_copy_only=False)
        found = np.append(np.where(same, position, -1), -1)
        result: NDArray[np.int64] = found[asked.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return result


def _hash(ids: pa.Array, key: str) -> NDArray[np.uint64]:
    texts = np.asarray(ids.to_numpy(zero_copy_only=False), dtype=object)
    return pd.util.hash_array(texts, hash_key=key, categorize=False)
