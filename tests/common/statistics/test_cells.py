"""Bins put together: every group is large enough, and no more is put together than needed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.statistics.cells import few, merged

BINS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=12)


def starts(positives: list[int], negatives: list[int], min_cell: int) -> list[int]:
    return [int(start) for start in merged(np.array(positives), np.array(negatives), min_cell)]


@given(bins=BINS, min_cell=st.integers(1, 8))
def test_no_group_tells_of_a_few(bins: list[tuple[int, int]], min_cell: int) -> None:
    counts = np.array(bins)
    found = merged(counts[:, 0], counts[:, 1], min_cell)
    small = [few(int(total), min_cell) for total in counts.sum(axis=0)]
    if any(small) or not counts.any():
        assert len(found) == 0
        return
    assert found[0] == 0
    groups = np.add.reduceat(counts, found)
    assert not ((groups > 0) & (groups < min_cell)).any()
    assert groups.sum(axis=1).all()
    assert (groups.sum(axis=0) == counts.sum(axis=0)).all()


def test_bins_that_are_large_enough_stay() -> None:
    assert starts([5, 6, 7], [8, 9, 5], 5) == [0, 1, 2]
    assert starts([0, 6, 7], [8, 9, 0], 5) == [0, 1, 2]  # nobody is not a few


def test_small_and_empty_bins_join_what_follows_and_the_rest_what_goes_before() -> None:
    assert starts([2, 3, 9, 9], [9, 9, 9, 9], 5) == [0, 2, 3]
    assert starts([0, 0, 9, 9], [0, 9, 9, 9], 5) == [0, 2, 3]
    assert starts([9, 9, 9, 2], [9, 9, 9, 9], 5) == [0, 1, 2]
    assert starts([9, 0, 2], [9, 9, 0], 5) == [0]  # (2, 0) and (0, 9) are (2, 9) still
    assert starts([9, 9, 0], [9, 9, 0], 5) == [0, 1]


def test_a_few_are_from_one_to_the_limit() -> None:
    assert [few(count, 3) for count in range(5)] == [False, True, True, False, False]
