"""Short keyed summaries of encounters, by which two cohorts that differ by few patients are told from equal ones.

Each encounter is a number, of 64 bits, of its label and its tokens, and each patient one of all encounters; where a site
does not say whose an encounter is, it is taken for a patient's only one. The numbers are summed in buckets. Two cohorts
of which d patients differ have at most 2 d buckets that differ, and at most d where patients only came or only went: few
that differ are never missed. Equal cohorts, in any order, have equal sketches; different ones almost surely have not.

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


def apart(first: Sketch, second: Sketch) -> int:
    """Count the buckets that differ: never more than the patients, of either, who have no equal in the other."""
    return int((first != second).sum())


def _sketch(split: Split, numbers: Sketch, key: bytes) -> Sketch:
    result = np.zeros(BUCKETS, dtype=np.uint64)
    own = _encounters(split, numbers, key)
    if split.patients is not None and len(own):
        _, whose = np.unique(split.patients, return_inverse=True)
        together = np.zeros(int(whose.max()) + 1, dtype=np.uint64)
        np.add.at(together, whose, own)
        own = _mixed(together)
    np.add.at(result, (own >> np.uint64(64 - _BITS)).astype(np.intp), _mixed(own))
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
