"""Each way in which a table does not fit its site file, and the words that say so."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from client.cohorts import read_cohort
from common.errors import CohortError

BROKEN = {
    "finding": ([], [("e2,0,A", "e2,0,X")],
        'hill.csv: column "fever": a value outside the spelling in 1 row (data row 2); expected "P", "A", "M"; '
        "correct the cells, or declare them in cohort.findings.spelling"),
    "blank finding": ([], [("e2,0,A", "e2,0,"), ("e6,0,P", "e6,0,")],
        'column "fever": a value outside the spelling in 2 rows (data rows 2, 6)'),
    "case of own spelling": ([('"P/A/M"', '{ present = ["P"], absent = ["A"], unknown = ["M"] }')],
        [("e1,1,P", "e1,1,p")], 'column "fever": a value outside the spelling in 1 row (data row 1)'),
    "category": ([], [("old", "elderly"), ("young", "elderly")],
        'column "age": a value that the category does not declare in 2 rows (data rows 1, 2); '
        "correct the cells, or add their spelling to `values` or `unknown`"),
    "not a number": ([], [("37.9", '"37,9"')],
        'column "temp": something that is not a number in 1 row (data row 1); expected a number or a blank'),
    "implausible number": ([], [("37.9", "100.2")],
        'column "temp": an implausible number (outside 25 to 45, unit C) in 1 row (data row 1); '
        "correct the cells, or check `unit` and `range`"),
    "infinity": ([], [("37.9", "inf")], 'column "temp": something that is not a number in 1 row'),
    "own range": ([('unit = "C"', 'unit = "C"\nrange = [36, 41]')], [],
        'column "temp": an implausible number (outside 36 to 41, unit C) in 2 rows (data rows 7, 8)'),
    "label": ([], [("e1,1", "e1,yes")],
        'column "flu": a label that the site file does not declare in 1 row (data row 1); '
        "add its spelling to positive, negative or leave_out of cohort.label"),
    "blank label": ([('negative = ["0"]\n', "")], [("e2,0", "e2,")],
        'column "flu": a blank label in 1 row (data row 2); add "" to cohort.label.leave_out, or to negative'),
    "no positive": ([('positive = ["1"]', 'positive = ["pos"]'), ('"0"', '"0", "1"')], [],
        "none of 8 encounters is positive; check cohort.label"),
    "no negative": ([('["1"]\nnegative = ["0"]', '["1", "0"]')], [], "none of 8 encounters is negative"),
    "everyone left out": ([('negative = ["0"]', 'leave_out = ["0"]'), ('["1"]', '["yes"]')], [("e1,1", "e1,0"),
        ("e3,1", "e3,0"), ("e5,1", "e5,0"), ("e7,1", "e7,0")],
        "hill.csv: cohort.label.leave_out leaves none of 8 rows"),
    "same id": ([], [("e2", "e1"), ("e5", "e4")],
        'column "id": an id that another row has too in 4 rows (data rows 1, 2, 4, 5); an id names one encounter'),
    "same id, spelled otherwise": ([], [("e2", "1"), ("e5", "1.0")], "an id that another row has too in 2 rows"),
    "blank id": ([], [("e2", ""), ("e5", " ")], 'column "id": a blank id in 2 rows (data rows 2, 5)'),
    "where leaves nothing": ([("[cohort.label]", '[cohort.where]\nage = ["aged"]\nfever = ["P"]\n[cohort.label]')], [],
        "hill.csv: cohort.where leaves none of 8 rows"),
    "where matches nothing": ([("[cohort.label]", '[cohort.where]\nage = ["old", "Aged"]\n[cohort.label]')], [],
        'cohort.where."age": no row has "Aged"; correct the spelling or remove it'),
    "missing column": ([('"flu"', '"Flu"'), ('"temp"', '"celsius"')], [],
        "hill.csv: no column \"Flu\" (cohort.label.column; did you mean 'flu'?), "
        "\"celsius\" (cohort.grades.C0424781.column); the file's 7 columns are id, flu, fever, cough, age, temp, part"),
    "column twice": ([], [("age,temp", "temp,temp")],
        'hill.csv: column "temp": 2 times in the header; rename all but one'),
    "split value": ([('["val"]', '["val"]\ntrain = ["train"]')], [("old,38.0,train", "old,38.0,tarin")],
        'column "part": a blank or a value that [split] does not declare in 1 row (data row 2)'),
    "blank split": ([], [("old,38.0,train", "old,38.0,")], 'column "part": a blank or a value that [split] does not'),
    "date": ([('by = "column"', 'by = "date"'),
        ('test = ["test"]\nvalidation = ["val"]', "test_from = 2020-01-01")], [],
        'column "part": a blank or something that is not a date in 8 rows (data rows 1, 2, 3, 4, 5 and 3 more); '
        "expected YYYY-MM-DD; check split.format"),
    "date in another format": ([('by = "column"', 'by = "date"\nformat = "%d.%m.%Y"'),
        ('test = ["test"]\nvalidation = ["val"]', "test_from = 2020-01-01")], [],
        "in 8 rows (data rows 1, 2, 3, 4, 5 and 3 more); expected the format '%d.%m.%Y'"),
    "empty part": ([('["test"]', '["autumn"]'), ('["val"]', '["val", "test"]')], [], "the test part has no encounter"),
    "part of one class": ([], [("e5,1", "e5,0")],
        "the test part has no positive encounter, of 2; check [split] and cohort.label"),
    "too many cells": ([], [("e2,0", "e2,0,0")],
        "hill.csv: more or fewer cells than the header in 1 row (data row 2); expected one cell for each column"),
    "too few cells": ([], [("e2,0,", "e2,"), ("e7,1,", "e7,")],
        "more or fewer cells than the header in 2 rows (data rows 2, 7)"),
}  # fmt: skip


@pytest.mark.parametrize(("site", "table", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_broken(hospital, tmp_path, site, table, expected):
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital(site, table))
    assert str(caught.value).startswith(f"{tmp_path / 'hill.toml'}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "hill.csv: the file is empty; expected a header and a row for each encounter"),
        (b"id,flu,fever,cough,age,temp,part\n", "hill.csv: no rows under the header; expected one for each encounter"),
        (b"id;flu;fever\n1;2;3\n", "The header holds no comma: was it exported with another separator?"),
        (b"id,flu,fever,cough,age,temp,part\ne1,1,P,A,\xe9,37,train\n", "cannot be read as CSV"),
        (b"\xe9d,flu\n", "cannot be read as CSV; expected cells separated by commas, quotes closed, in UTF-8"),
        (b'id,"flu\ne1,1"\n', "a line break in a column's name; close the quotes in the header"),
        (b"e1,1,P,A,young,37.9,train\n", "none of the columns that the site file names; expected"),
    ],
)
def test_not_a_table(hospital, tmp_path, content, expected):
    site = hospital()
    (tmp_path / "hill.csv").write_bytes(content)
    with pytest.raises(CohortError) as caught:
        read_cohort(site)
    assert expected in str(caught.value)
    assert "young" not in str(caught.value)


def test_a_file_that_went_away(hospital, tmp_path):
    site = hospital()
    (tmp_path / "hill.csv").unlink()
    with pytest.raises(CohortError, match=r"hill\.csv: no such file in"):
        read_cohort(site)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"PAR1 not really", "hill.parquet: cannot be read as Parquet; export it again"),
     (None, 'hill.parquet: column "fever" holds list<element: string>; expected text, numbers, booleans or dates')],
)  # fmt: skip
def test_not_a_parquet_table(hospital, tmp_path, content, expected):
    path = tmp_path / "hill.parquet"
    names = ("id", "flu", "fever", "cough", "age", "temp", "part")
    pa_parquet.write_table(pa.table({name: [["P"]] if name == "fever" else ["P"] for name in names}), path)
    site = hospital([("hill.csv", "hill.parquet")])
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CohortError) as caught:
        read_cohort(site)
    assert expected in str(caught.value)


def test_all_problems_come_in_one_error(hospital):
    table = [("e1,1,P,A,young,37.9", "e1,?,X,X,X,X"), ("e3", "e2"), ("e8,0,M,M,young,35,train", "e8,0,M,M,young,35,")]
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital([('column = "part"', 'column = "Part"')], table))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("hill.toml: 7 problems")
    for word in ("Part", "flu", "id", "fever", "cough", "age", "temp"):
        assert sum(f'"{word}"' in line for line in lines) == 1


def test_many_columns_at_fault_are_counted(hospital):
    findings = [f"f{n}" for n in range(30)]
    text = "id,flu,age,temp,part," + ",".join(findings) + "\n" + "e1,1,old,37,train" + ",X" * 30 + "\n"
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital([('columns = { fever = "C0015967", cough = "cough" }', 'columns = "others"')], text=text))
    assert str(caught.value).count("outside the spelling") == 10
    assert "hill.csv: 20 more problems of this kind in other columns" in str(caught.value)


def test_long_headers_are_cut(hospital):
    text = "id,flu," + ",".join(f"f{n}" for n in range(30)) + "\n"
    with pytest.raises(CohortError, match=r"the file's 32 columns are id, flu, f0, .*, f7 and 22 more$"):
        read_cohort(hospital(text=text + "1,1" + ",P" * 30 + "\n"))
