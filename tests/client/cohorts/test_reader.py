from __future__ import annotations

import datetime
import decimal
import traceback

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from client.cohorts.reader import BLOCK, read_header, read_table
from common.errors import CohortError

DAY = datetime.date(2008, 1, 2)
NOON = datetime.datetime(2008, 1, 2, 12)


def cells(path, name: str) -> list[str]:
    column = read_table(path, [name]).columns[name]
    return [column.cells[code] for code in column.codes]


@pytest.mark.parametrize(
    ("values", "spelled"),
    [
        (pa.array([True, None, False]), ["true", "", "false"]),
        (pa.array([1, None, 0]), ["1", "", "0"]),
        (pa.array([1.0, float("nan"), None, 37.7]), ["1", "", "", "37.7"]),
        (pa.array([1.0, 37.7], pa.float32()), ["1", "37.7"]),
        (pa.array(["a", None, " b ", "nan"]), ["a", "", "b", "nan"]),
        (pa.array(["x", "y", None, "x"]).dictionary_encode(), ["x", "y", "", "x"]),
        (pa.array([decimal.Decimal("1.00")]), ["1"]),
        (pa.array([DAY]), ["2008-01-02"]),
        (pa.array([NOON]), ["2008-01-02 12:00:00.000000"]),
        (pa.nulls(2), ["", ""]),
    ],
)
def test_parquet_cells(tmp_path, values, spelled):
    pa_parquet.write_table(pa.table({"c": values}), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet", "c") == spelled
    pa_parquet.write_table(pa.table({"c": values}).slice(0, 0), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet", "c") == []


def test_cells_of_one_spelling_are_one(tmp_path):
    (tmp_path / "t.csv").write_text("c,d\n1,\n1.0,\n 1,\n2,\n")
    column = read_table(tmp_path / "t.csv", ["c"]).columns["c"]
    assert column.codes.tolist() == [0, 0, 0, 1]
    assert column.cells[:2] == ("1", "2")


def test_only_the_columns_asked_for_are_read(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    table = read_table(tmp_path / "t.csv", ["c", "a"])
    assert list(table.columns) == ["c", "a"]
    assert table.rows.tolist() == [1]


def test_a_note_may_run_over_lines_and_over_the_blocks_that_are_read_at_a_time(tmp_path):
    count = 2 * BLOCK // 30_000
    lines = "".join(f'{n},"{"x" * 30_000}\nand more"\n' for n in range(count))
    (tmp_path / "t.csv").write_text("id,note\n" + lines.replace("xxx", "x\nx"))
    assert cells(tmp_path / "t.csv", "id") == [str(n) for n in range(count)]


def test_a_row_far_down_that_cannot_be_read_is_not_quoted(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"id,note\n" + b"1,x\n" * 100_000 + b"Quincunx\xe9,x\n")
    with pytest.raises(CohortError) as caught:
        read_table(tmp_path / "t.csv", ["id"])
    assert str(caught.value).startswith("t.csv: cannot be read as CSV")
    assert "Quincunx" not in "".join(traceback.format_exception(caught.value))


def test_an_index_that_pandas_wrote_is_no_column(tmp_path):
    pa_parquet.write_table(pa.table({"a": ["x"], "__index_level_0__": [3]}), tmp_path / "t.parquet")
    assert read_header(tmp_path / "t.parquet") == ["a"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("t.xlsx", "t.xlsx: expected a name that ends in .csv or .parquet"), ("t.csv", "t.csv: no such file in"),
     ("t.parquet", "t.parquet: no such file in"), ("folder.csv", "folder.csv: cannot be opened")],
)  # fmt: skip
def test_no_file(tmp_path, name, expected):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CohortError) as caught:
        read_header(tmp_path / name)
    assert str(caught.value).startswith(expected)
