"""However a file is cut into batches, and however many different cells it holds, the cohort is the same."""

from __future__ import annotations

import csv
import hashlib
import io

import numpy as np
import numpy.testing as npt
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.cohorts import read_cohort, reader
from client.cohorts.columns import ColumnReader
from client.cohorts.ids import Ids, digests
from client.cohorts.reader import read_table
from client.cohorts.tokens import number_type, token_blocks
from client.site_file import load_site
from common.errors import CohortError

SITE = [("[cohort.label]", '[cohort.where]\nage = ["young", "old", "aged", ""]\n[cohort.label]\nleave_out = ["9"]')]
GOOD = {
    "flu": ["0", "1", "1.0", "9"],
    "fever": ["P", "A", "M", "p", " A"],
    "cough": ["P", "A", "M"],
    "age": ["young", "old", "aged", "", "elsewhere"],
    "temp": ["36.6", "37", "37.0", "38", "40.5", "", "nan"],
    "part": ["train", "val", "test", "more"],
}
BAD = {"flu": ["?", ""], "fever": ["X", "Y"], "cough": [""], "age": [], "temp": ["9", "x"], "part": [""]}


ROWS = [  # both classes in each part
    dict(zip(("id", *GOOD), (f"r{part}{flu}", flu, "P", "A", "old", "37", part), strict=True))
    for part in ("train", "val", "test")
    for flu in ("0", "1")
]


@st.composite
def files(draw) -> list[dict[str, str]]:
    """Rows, half of the time all good, the other half with cells that fit nothing and ids that are blank or twice."""
    bad = draw(st.booleans())
    cells = {name: st.sampled_from(words + (BAD[name] if bad else [])) for name, words in GOOD.items()}
    ids = st.sampled_from(["", "7", "7.0", *(f"e{n}" for n in range(400))])
    rows = draw(st.lists(st.fixed_dictionaries({"id": ids, **cells}), max_size=24))
    return draw(st.permutations(ROWS + [row if bad else {**row, "id": f"e{n}"} for n, row in enumerate(rows)]))


def outcome(path) -> object:
    """Give the cohort as lists, or what is said of it."""
    try:
        cohort = read_cohort(load_site(path), "keep")
    except CohortError as error:
        return str(error).replace(".parquet", ".csv")
    parts = (cohort.train, cohort.validation, cohort.test)
    return [(part.tokens.tolist(), part.labels.tolist()) for part in parts]


def read_rows(monkeypatch, folder, rows, site_text, kind: str, size: int) -> object:
    """Write the rows as `kind`, in batches of `size` rows, and read them."""
    monkeypatch.setattr(reader, "ROWS", size)
    (folder / "hill.toml").write_text(site_text([*SITE, ("hill.csv", f"hill.{kind}")]))
    if kind == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        (folder / "hill.csv").write_text(text.getvalue())
        monkeypatch.setattr(reader, "BLOCK", 64 + 50 * size)
    else:
        groups = max(1, size // 2)  # so that batches run over the groups in which a file is written
        pa_parquet.write_table(pa.Table.from_pylist(rows), folder / "hill.parquet", row_group_size=groups)
    return outcome(folder / "hill.toml")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.integers(1, 7), st.sampled_from(["csv", "parquet"]))
def test_any_batches_give_what_one_batch_gives(tmp_path, monkeypatch, site_text, rows, size, kind):
    whole = read_rows(monkeypatch, tmp_path, rows, site_text, "parquet", 1 << 16)
    assert read_rows(monkeypatch, tmp_path, rows, site_text, kind, size) == whole


def test_a_column_of_many_cells_needs_wider_codes():
    column = ColumnReader()
    for first in range(0, 70_000, 7_000):
        column.read(pa.array([f"c{n}" for n in range(first, first + 7_000)]))
        column.read(pa.array(["c0", f"c{first}"]))
    read = column.column()
    cells = [read.cells[code] for code in read.codes]
    assert (len(read.cells), len(cells), read.codes.dtype) == (70_000, 70_020, np.int32)
    assert cells[:3] + cells[7_000:7_003] == ["c0", "c1", "c2", "c0", "c0", "c7000"]
    assert cells[-3:] == ["c69999", "c0", "c63000"]


def test_cells_that_mean_the_same_are_kept_once(tmp_path):
    days = pa.array([f"2008-01-{n % 28 + 1:02} 10:{n % 60:02}" for n in range(1000)])
    pa_parquet.write_table(pa.table({"day": days}), tmp_path / "t.parquet")
    column = read_table(tmp_path / "t.parquet", ["day"], {"day": lambda cell: cell >= "2008-01-15"}).columns["day"]
    assert column.cells == ("2008-01-01 10:00", "2008-01-15 10:14")
    npt.assert_array_equal(column.codes, np.arange(1000) % 28 >= 14)


def test_a_file_that_breaks_off_far_down_says_nothing_of_what_came_before(tmp_path, hospital):
    count = 200_000  # more than one block
    rows = "".join(f"e{n % 2},?,X,X,old,37,train\n" for n in range(count)) + "e,1,P,A\n" + "e,1,P,A,old,37,train,9\n"
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital(text="id,flu,fever,cough,age,temp,part\n" + rows))
    expected = f"more or fewer cells than the header in 2 rows (data rows {count + 1}, {count + 2})"
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_are_compared_by_all_of_their_digest():
    """Equal first halves do not make two ids one."""
    keys = np.array([[1, 1], [1, 2], [3, 3], [1, 1], [4, 4]], dtype=np.uint64)
    ids = Ids(0, keys)
    npt.assert_array_equal(ids.repeated(), [True, False, False, True, False])
    other = Ids(0, np.array([[1, 2], [3, 4], [4, 4]], dtype=np.uint64))
    npt.assert_array_equal(ids.shared(other), [False, True, False, False, True])


def test_digests_are_sha_256():
    (found,) = digests(7, ["é1"])
    assert b"".join(int(half).to_bytes(8) for half in found) == hashlib.sha256("7|é1".encode()).digest()[:16]
    assert digests(7, []).shape == (0, 2)


@pytest.mark.parametrize(
    ("largest", "kind"),
    [(255, np.uint8), (256, np.int16), (32_767, np.int16), (32_768, np.int32)],
)
def test_tokens_take_the_smallest_type(largest, kind):
    assert number_type(largest) is kind
    codes = [np.arange(5000, dtype=np.uint16), np.zeros(5000, dtype=np.uint8)]
    blocks = list(token_blocks(codes, [np.arange(5000) % (largest + 1), np.array([largest])], largest))
    tokens = np.concatenate([block for _, block in blocks])
    npt.assert_array_equal(tokens, np.stack([np.arange(5000) % (largest + 1), np.full(5000, largest)], axis=1))
    assert (tokens.dtype, len(blocks), blocks[1][0]) == (kind, 2, slice(4096, 5000))


def test_where_may_name_the_column_of_ids(hospital):
    where = '[cohort.where]\nid = ["e1", "e2", "e3", "e4", "e5", "e6"]\n[cohort.label]'
    assert len(read_cohort(hospital([("[cohort.label]", where)])).train) == 2
