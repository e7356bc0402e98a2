"""From Arrow's batches to a column's codes.

Every cell becomes text by one rule, so that a site file reads a table alike from CSV and from Parquet: a null and a NaN
are blank, booleans are true and false, whole numbers have no ".0", dates are ISO.

Letters: N rows, K different cells of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.cohorts.cells import Codes, Column, spell
from client.cohorts.ids import Ids, digests

Meaning: TypeAlias = Callable[[str], Hashable]

_KNOWN = 1 << 16  # different texts of a column whose codes are kept at hand
_TYPES = (np.uint8, np.uint16, np.int32)


class ColumnReader:
    """Reads one column.

    Parameters
    ----------
    meaning : callable, optional
        Cells for which it gives the same become one; without it, those that are spelled the same.
    """

    def __init__(self, meaning: Meaning | None = None) -> None:
        self._meaning = meaning
        self._parts = _Growing()
        self._cells: list[str] = []
        self._of_meaning: dict[Hashable, int] = {}
        self._of_text: dict[str, int] = {}

    def read(self, values: Any) -> None:
        """Read the next values, an Arrow array.

        Raises
        ------
        pyarrow.ArrowException
            The values cannot be text.
        """
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        texts = _texts(encoded.dictionary)
        indices = encoded.indices
        if indices.null_count:
            indices = indices.cast(pa.int32()).fill_null(len(texts))
            texts.append("")
        codes = np.array([self._code(text) for text in texts], dtype=np.int32)
        self._parts.extend(codes, indices.to_numpy(zero_copy_only=False), len(self._cells))

    def column(self) -> Column:
        """Give all that was read."""
        return Column(self._parts.finish(), tuple(self._cells))

    def _code(self, text: str) -> int:
        code = self._of_text.get(text)
        if code is None:
            cell = spell(text)
            code = self._of_meaning.setdefault(self._meaning(cell) if self._meaning else cell, len(self._cells))
            if code == len(self._cells):
                self._cells.append(cell)
            if len(self._of_text) >= _KNOWN:
                self._of_text.clear()
            self._of_text[text] = code
        return code


class IdReader:
    """Reads the column of ids.

    Parameters
    ----------
    seed : int
        Of their digests.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._parts: list[NDArray[np.uint64]] = []

    def read(self, values: Any) -> None:
        """Read the next values, as `ColumnReader` does."""
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        self._parts.append(digests(self._seed, [spell(text) for text in _texts(values)]))

    def ids(self) -> Ids:
        """Give all that was read."""
        return Ids(self._seed, np.concatenate([np.empty((0, 2), dtype=np.uint64), *self._parts]))


class _Growing:
    """An array of codes that grows in place, in the smallest type that holds them."""

    def __init__(self) -> None:
        self._array: Codes = np.empty(0, dtype=_TYPES[0])
        self._length = 0

    def extend(self, codes: NDArray[np.int32], indices: NDArray[Any], count: int) -> None:
        """Add `codes` at `indices`; `count` is how many different codes there are so far."""
        kind = next(kind for kind in _TYPES if count <= np.iinfo(kind).max + 1)
        self._array = self._array.astype(kind, copy=False)
        end = self._length + len(indices)
        if end > len(self._array):  # by more than is needed now, so that few additions move the array
            self._array.resize(end + end // 4, refcheck=False)
        self._array[self._length : end] = codes.astype(kind)[indices]
        self._length = end

    def finish(self) -> Codes:
        """Give the array, as long as it is."""
        self._array.resize(self._length, refcheck=False)
        return self._array


def _texts(values: Any) -> list[str]:
    """Give the text of each value of an Arrow array."""
    texts = values.cast(pa.string()).to_numpy(zero_copy_only=False).tolist()
    if pa.types.is_floating(values.type):
        return ["" if text is None or text == "nan" else text for text in texts]
    return ["" if text is None else text for text in texts] if values.null_count else texts
