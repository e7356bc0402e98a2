"""For each concept of one vocabulary the nearest concept of another, by the angle between their vectors.

Vectors are centred by the probe phrases (common/embeddings/probes.py): without that every text is near every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.concepts import Token
from common.embeddings import EmbeddingTable
from common.errors import TableError

# Below it a concept has no near neighbour. Of 69 findings in two wordings, 97 to 99 % lie above; of everyday phrases
# and of things from other fields, 10 of 11 (MiniLM) and 8 of 11 (MPNet) below (docs/vocabularies.md).
FAR = 0.3

_BLOCK = 1 << 24  # cosines at a time: 64 MiB


@dataclass(frozen=True)
class Nearest:
    """A concept and the one nearest to it in the other vocabulary.

    Attributes
    ----------
    token, nearest : Token
    cosine : float
        -1 to 1, of the centred vectors.
    """

    token: Token
    nearest: Token
    cosine: float


def find_nearest(
    known: Sequence[Token], known_in: EmbeddingTable, own: Sequence[Token], own_in: EmbeddingTable
) -> list[Nearest]:
    """Find for each token of `own` the nearest of `known`.

    Parameters
    ----------
    known, own : sequence of Token
        What the model was trained on, and what it meets.
    known_in, own_in : EmbeddingTable
        Where their vectors are; one embedding space.

    Raises
    ------
    TableError
        A vocabulary is empty, a token has no row, or the tables are of different spaces.
    """
    if not known or not own:
        raise TableError("one of the two vocabularies has no concept; there is nothing to compare")
    differs = known_in.fingerprint("centred").difference(own_in.fingerprint("centred"))
    if differs:
        raise TableError(f"the two tables are in different spaces: {'; '.join(differs)}")
    left, right = _directions(known, known_in), _directions(own, own_in)
    step = max(1, _BLOCK // len(known))
    found = []
    for start in range(0, len(own), step):
        cosines = right[start : start + step] @ left.T  # (step, known)
        best = cosines.argmax(axis=1)
        for offset, place in enumerate(best):
            found.append(Nearest(own[start + offset], known[place], float(cosines[offset, place])))
    return found


def _directions(tokens: Sequence[Token], table: EmbeddingTable) -> npt.NDArray[np.float32]:
    """Give centred vectors of length 1, float32 (len(tokens), D); one at the centre itself is left as zeros."""
    vectors = table.select(tokens, "centred")[1:]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    return unit.astype(np.float32)
