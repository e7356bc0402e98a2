"""Keeps vectors on this disk by the digest of their text, so that a build goes on where it stopped.

One folder for each origin (model, pooling, prefix), with parts of some hundred vectors. A part is a safetensors file:
`keys` uint8 (n, 32), SHA-256 of origin and text, and `vectors` float32 (n, D). It is written whole or not at all, and
holds the SHA-256 of its arrays: a damaged one is thrown away, and its texts are embedded again. No text is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.embedding.embedder import Floats, Origin
from common.files import write_atomically

_FORM = "sitebridge vectors 1"  # changes whenever the same origin would give other vectors
_PROBES = "probes"

Found = tuple[npt.NDArray[np.int64], Floats]  # which texts (n,), and their vectors (n, D)


class VectorCache:
    """The vectors of one origin.

    Parameters
    ----------
    root : Path
        Folder of all origins; made when the first vectors are kept.
    origin : Origin
        What the vectors come from.
    """

    def __init__(self, root: Path, origin: Origin) -> None:
        self._space = f"{_FORM}\n{origin.to_json()}\n"
        self.folder = root / hashlib.sha256(self._space.encode()).hexdigest()[:16]
        self.damaged = 0  # parts thrown away so far

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """Give the SHA-256 of origin and text, for each text."""
        return [hashlib.sha256((self._space + text).encode()).digest() for text in texts]

    def find(self, wanted: Mapping[bytes, int]) -> Iterator[Found]:
        """Read every part in turn and give what is wanted of it.

        Without the probes with which they were begun, nothing says what space the parts are of: they are thrown away.

        Parameters
        ----------
        wanted : mapping of bytes to int
            A text's number by its key.
        """
        begun = self.probes() is not None
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.stem == _PROBES:
                continue
            if not begun:
                self._throw_away(path)
            elif part := self._read(path):
                keys, vectors = part
                rows = [row for row, key in enumerate(keys) if key in wanted]
                if rows:
                    yield np.array([wanted[keys[row]] for row in rows], np.int64), vectors[rows]

    def keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Write a part."""
        self._write(hashlib.sha256(b"".join(keys)).hexdigest()[:32], keys, vectors)

    def probes(self) -> Floats | None:
        """Give the vectors of the probe phrases with which this cache was begun; None where there are none yet."""
        path = self.folder / f"{_PROBES}.safetensors"
        part = self._read(path) if path.is_file() else None
        return None if part is None else part[1]

    def keep_probes(self, vectors: Floats) -> None:
        """Write the vectors of the probe phrases."""
        self._write(_PROBES, [bytes(32)] * len(vectors), vectors)

    def _write(self, name: str, keys: Sequence[bytes], vectors: Floats) -> None:
        numbers = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = save({"keys": numbers, "vectors": vectors}, metadata={"sha256": _digest(numbers, vectors)})
        write_atomically(self.folder / f"{name}.safetensors", content, mode=0o600)

    def _read(self, path: Path) -> tuple[list[bytes], Floats] | None:
        """Read a part; throw it away if it is not as it was written."""
        try:
            with safe_open(path, framework="numpy") as file:
                keys, vectors = file.get_tensor("keys"), file.get_tensor("vectors")
                if (file.metadata() or {}).get("sha256") == _digest(keys, vectors):
                    return [row.tobytes() for row in keys], vectors
        except (SafetensorError, TypeError, AttributeError):
            pass
        self._throw_away(path)
        return None

    def _throw_away(self, path: Path) -> None:
        self.damaged += 1
        path.unlink(missing_ok=True)


def _digest(keys: npt.NDArray[np.uint8], vectors: Floats) -> str:
    digest = hashlib.sha256(f"{keys.shape} {vectors.shape} {vectors.dtype.str}\n".encode())
    for array in (keys, vectors):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
