from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest

from client.cohorts.cells import Column, Fault, Table, clashes, count_rows, decode, spell
from common.errors import Problems


@pytest.mark.parametrize(
    ("cell", "spelled"),
    [("1", "1"), ("1.0", "1"), (" 1.00 ", "1"), ("-3.0", "-3"), ("1.50", "1.50"), ("007", "007"), ("1.", "1."),
     ("v1.0", "v1.0"), ("", ""), ("   ", ""), ("1.0.0", "1.0.0"), ("P", "P"), ("p", "p")],
)  # fmt: skip
def test_spell(cell, spelled):
    assert spell(cell) == spelled


def test_few_rows_are_named_and_many_are_counted():
    assert count_rows([4]) == "1 row (data row 4)"
    assert count_rows([4, 9]) == "2 rows (data rows 4, 9)"
    assert count_rows([1, 2, 3, 4, 5]) == "5 rows (data rows 1, 2, 3, 4, 5)"
    assert count_rows([1, 2, 3, 4, 5, 6, 7]) == "7 rows (data rows 1, 2, 3, 4, 5 and 2 more)"


def test_clashes():
    assert clashes({"a": ("1", "2"), "b": ("3",)}) == []
    assert clashes({"a": ("x",), "b": ("X",)}) == []
    assert clashes({"a": ("x",), "b": ("X",)}, fold_case=True) == [
        'the spelling "x" stands in both a and b; name it once'
    ]
    assert clashes({"a": ("1", "1.0")}) == ['the spelling "1" stands twice in a; name it once']


def test_decode_counts_the_rows_of_each_fault_and_takes_their_numbers_from_the_file():
    def reading(cell: str) -> str | Fault:
        return cell if cell in "ab" else Fault(f"a {len(cell)}-letter cell", "shorten it")

    column = Column(np.array([0, 2, 1, 3, 2], dtype=np.int32), ("a", "xx", "yyy", "b", "never occurs"))
    table = Table("t.csv", {"c": column}, np.array([2, 3, 5, 7, 11]))
    problems = Problems("t")
    npt.assert_array_equal(decode(table, "c", reading, {"a": 0, "b": 4}, problems), [0, -1, -1, 4, -1])
    assert problems.lines == [
        't.csv: column "c": a 2-letter cell in 1 row (data row 5); shorten it',
        't.csv: column "c": a 3-letter cell in 2 rows (data rows 3, 11); shorten it',
    ]
    kept = table.take(np.array([True, False, False, True, False]))
    assert kept.rows.tolist() == [2, 7]
    assert decode(kept, "c", reading, {"a": 0, "b": 4}, problems).tolist() == [0, 4]
