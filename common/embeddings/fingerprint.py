"""What two sites compare to know that their tables live in one embedding space; it holds nothing about a patient.

The sketch
----------
A site's table covers its own vocabulary, so tables cannot be compared row by row. The vectors of the probe phrases can:
every built table has them. They are reduced to 16 numbers, ``sketch[k] = sum over p, d of a_k[p] b_k[d] probes[p, d]``
over the square root of P, with signs a and b taken from the SHA-256 of the phrase and of the column number, so that
every machine draws the same. Turning the space, swapping columns, changing the model's weights or its scale moves them.

Two sketches are the same when no number differs by more than 1% of the sketches' root mean square. Another batch size
moves MiniLM's by 0.0001%, weights rounded to float16 by 0.2%, weights changed by a hundredth of their spread by 9%,
another pooling or another unit of length by more than 100%. (Sums in another order, on another processor, are noise of
the first kind. Arithmetic in bfloat16 moves them by 3% and counts as another space; `embed build` never uses it.)

A table without probe vectors (imported, or one-hot) must be the same table everywhere: its centre is its own. There the
sketch is the centre's, and `content`, a SHA-256 of its rows by name, must agree exactly.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import TableError

SKETCH_SIZE = 16
SKETCH_TOLERANCE = 0.01  # of the root mean square of the sketches

_LARGEST = 1e30  # of a sketch: the square of such a number is one, too

_COMPARED = ("model", "revision", "pooling", "normalisation", "centre_of", "absence", "dimension")


@dataclass(frozen=True)
class Fingerprint:
    """An embedding space, as far as two sites must agree on it.

    Parameters
    ----------
    model, revision, pooling, normalisation, centre_of : str
        As the table records them.
    absence : str
        How an absent finding is shown, see `common.embeddings.absence`.
    dimension : int
        Numbers that the classifier sees of a token.
    sketch : tuple of float
        16 numbers drawn from the probe vectors, or from the centre.
    content : str
        SHA-256 of the rows by name where ``centre_of`` is "table"; empty otherwise.
    """

    model: str
    revision: str
    pooling: str
    normalisation: str
    centre_of: str
    absence: str
    dimension: int
    sketch: tuple[float, ...]
    content: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of all fields: a short name for logs. Float noise changes it, so it is not compared."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def difference(self, other: Fingerprint) -> list[str]:
        """Say what differs, a line each; empty when the two spaces are the same."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in _COMPARED]
        lines = [f"{name}: {mine} and {theirs}" for name, mine, theirs in pairs if mine != theirs]
        if self.content != other.content:
            lines.append("content: the two tables do not hold the same rows; without probe vectors they must")
        if lines:
            return lines  # vectors of another model differ too: it would only hide what matters
        gap = _gap(self.sketch, other.sketch)
        if gap > SKETCH_TOLERANCE:
            lines.append(f"vectors: they differ by {gap:.1%} of their size; at most {SKETCH_TOLERANCE:.0%} is noise")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Give the fields and the digest as a plain dict."""
        return {**asdict(self), "sketch": list(self.sketch), "digest": self.digest}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Fingerprint:
        """Read what `to_json` gave.

        Raises
        ------
        TableError
            A field is missing, unknown or of another type.
        """
        expected = {field.name for field in fields(cls)} | {"digest"}
        if not isinstance(content, Mapping) or set(content) != expected:
            raise TableError(f"fingerprint: expected the fields {', '.join(sorted(expected))}")
        words = all(isinstance(content[name], str) for name in expected - {"dimension", "sketch"})
        if not words or type(content["dimension"]) is not int or not _is_sketch(content["sketch"]):
            raise TableError(f"fingerprint: expected words, a whole dimension and a sketch of {SKETCH_SIZE} numbers")
        read = {name: content[name] for name in expected - {"digest", "sketch"}}
        return cls(**read, sketch=tuple(float(number) for number in content["sketch"]))


def sketch_of(vectors: npt.NDArray[np.float32], labels: Sequence[str]) -> tuple[float, ...]:
    """Reduce `vectors`, float32 (P, D), with one label a row, to 16 numbers whose size is that of a row."""
    left = _signs(labels)  # (P, 16)
    right = _signs([f"column {d}" for d in range(vectors.shape[1])])  # (D, 16)
    numbers = ((vectors.astype(np.float64) @ right) * left).sum(axis=0) / math.sqrt(len(labels))
    return tuple(float(number) for number in numbers)


def _signs(labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Draw +1 or -1, float64 (labels, 16), from the bits of each label's SHA-256."""
    size = SKETCH_SIZE // 8
    drawn = b"".join(hashlib.sha256(label.encode()).digest()[:size] for label in labels)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(len(labels), SKETCH_SIZE)
    return bits.astype(np.float64) * 2 - 1


def _gap(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Largest difference between two sketches, as a share of their root mean square."""
    one, two = np.array(mine), np.array(theirs)
    size = max(math.sqrt(float(np.mean(sketch**2))) for sketch in (one, two))
    return float(np.max(np.abs(one - two))) / size if size else 0.0


def _is_sketch(numbers: Any) -> bool:
    if not isinstance(numbers, list | tuple) or len(numbers) != SKETCH_SIZE:
        return False
    return all(type(number) in (int, float) and abs(number) < _LARGEST for number in numbers)
