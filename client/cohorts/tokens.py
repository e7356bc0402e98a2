"""From the columns of concepts to tokens.

Letters: N encounters, L concepts, K different cells of a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cohorts.cells import Codes, Table, find_values
from client.cohorts.concepts import Source
from common.errors import Problems

LISTED = 10  # names or columns in one message
Numbers: TypeAlias = NDArray[Any]  # of tokens, in the type that `number_type` gives

_BLOCK = 4096  # encounters of 70 concepts that lie in a processor's cache
_TYPES = (np.uint8, np.int16, np.int32)  # torch has hardly any uint16


def number_type(largest: int) -> type[np.integer[Any]]:
    """Give the smallest type for the numbers of tokens from 0 to `largest`: uint8, int16 or int32."""
    return next(kind for kind in _TYPES if largest <= np.iinfo(kind).max)


def find_numbers(
    table: Table, sources: Sequence[Source], numbers: Sequence[Mapping[str, int]], problems: Problems
) -> list[NDArray[np.int64]]:
    """Give, for each source, the token number of each of its column's cells, (K,); -1 at fault.

    A column that the file does not have is left out: there is a problem then. At most `LISTED` problems are reported,
    and how many more there are.
    """
    own = Problems(table.file)
    found = [
        find_values(table, source.column, source.read, values, own)
        for source, values in zip(sources, numbers, strict=True)
        if source.column in table.columns
    ]
    for line in own.lines[:LISTED]:
        problems.add(line)
    if len(own.lines) > LISTED:
        problems.add(f"{table.file}: {len(own.lines) - LISTED} more problems of this kind in other columns")
    return found


def token_blocks(
    codes: Sequence[Codes], numbers: Sequence[NDArray[np.int64]], largest: int
) -> Iterator[tuple[slice, Numbers]]:
    """Give the tokens of some encounters after the others: which rows they are, and their tokens (rows, L).

    Parameters
    ----------
    codes : sequence of arrays (N,)
        Of each concept's column.
    numbers : sequence of arrays (K,)
        The token number of each cell, 0 to `largest`.
    """
    kind = number_type(largest)
    small = [values.astype(kind) for values in numbers]
    count = len(codes[0])
    for start in range(0, count, _BLOCK):
        rows = slice(start, min(start + _BLOCK, count))
        block = np.empty((rows.stop - start, len(codes)), dtype=kind)
        for place, (column, values) in enumerate(zip(codes, small, strict=True)):
            block[:, place] = values.take(column[rows], mode="clip")  # "clip" checks no code: all are in range
        yield rows, block
