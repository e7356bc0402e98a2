"""Short keyed summaries of encounters, by which two cohorts that differ by few patients are told from equal ones.

Each encounter is a number, of 64 bits, of its label and its tokens. A patient has a bucket, and the sum of her
encounters goes there: two cohorts of which d patients differ have at most d buckets that differ. Where a site does not
say whose an encounter is, its own number chooses the bucket: one that changed is in two. Few that differ are never
missed. Equal cohorts, in any order, have equal sketches; different ones almost surely have not.

Letters: N encounters, L concepts, V tokens, B buckets.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cohorts.cohort import Cohort, Split
from client.cohorts.splits import NUMBERS

Sketch = NDArray[np.uint64]

_BITS = 13
BUCKETS = 1 << _BITS
_BLOCK = 1 << 16  # encounters at a time


def sketches(cohort: Cohort, key: bytes) -> dict[str, Sketch]:
    """Summarise each part of a cohort.

    Parameters
    ----------
    cohort : Cohort
        Read with ``unknown="keep"``, so that it does not depend on what a federation asks.
    key : bytes
        A secret of the site: with it, nobody can make encounters up that cancel each other.

    Returns
    -------
    dict of str to ndarray
        uint64 (B,), by part.
    """
    names = [token.name for token in cohort.vocabulary]
    numbers = np.array([0, *(_number(key, "token", name) for name in names)], dtype=np.uint64)
    return {name: _sketch(getattr(cohort, name), numbers, key) for name in NUMBERS}


def apart(first: Sketch, second: Sketch, named: bool) -> int:
    """Give how many patients differ, at least; 0 where none does.

    Parameters
    ----------
    named : bool
        Whether the site says whose an encounter is.
    """
    buckets = int((first != second).sum())
    return buckets if named else -(-buckets // 2)


def _sketch(split: Split, numbers: Sketch, key: bytes) -> Sketch:
    result = np.zeros(BUCKETS, dtype=np.uint64)
    own = _encounters(split, numbers, key)
    whose = own
    if split.patients is not None:
        whose = _mixed(split.patients.astype(np.uint64) + np.uint64(_number(key, "patient")))
    np.add.at(result, (whose >> np.uint64(64 - _BITS)).astype(np.intp), _mixed(own))
    return result


def _encounters(split: Split, numbers: Sketch, key: bytes) -> Sketch:
    """Give a number for each encounter, uint64 (N,)."""
    result = np.empty(len(split), dtype=np.uint64)
    labels = split.labels if split.labels.ndim == 2 else split.labels[:, None]
    weights = np.array([_number(key, "label", str(place)) for place in range(labels.shape[1])], dtype=np.uint64)
    for start in range(0, len(split), _BLOCK):
        some = slice(start, start + _BLOCK)
        own = numbers[split.tokens[some]].sum(axis=1, dtype=np.uint64)
        result[some] = _mixed(own + _mixed(labels[some].astype(np.uint64) + weights).sum(axis=1, dtype=np.uint64))
    return result


def _number(key: bytes, *words: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), key=key, digest_size=8).digest(), "big")


def _mixed(values: NDArray[Any]) -> Sketch:
    """Scatter numbers, one to one (SplitMix64's finaliser; Steele, Lea and Flood 2014)."""
    mixed = np.asarray(values, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
