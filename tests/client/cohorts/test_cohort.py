"""What a table becomes, checked by hand against the eight encounters of conftest.py."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

from client.cohorts import Cohort, Split, read_cohort
from common.errors import ConfigError


def words(cohort: Cohort, split: Split) -> list[list[str]]:
    """Give each encounter as the names of its tokens."""
    names = ["-", *(token.name for token in cohort.vocabulary)]
    return [[names[index] for index in row] for row in split.tokens]


def rows(*lines: str) -> list[list[str]]:
    return [line.split() for line in lines]


def test_every_encounter_becomes_its_tokens(hospital):
    cohort = read_cohort(hospital(), "keep")
    assert words(cohort, cohort.train) == rows(
        "C0015967_P cough_A agegroup_ls5 C0424781_I",  # 37.9
        "C0015967_A cough_M agegroup_ge64 C0424781_A",  # 38.0: a number on the cut belongs above it
        "C0015967_A cough_P agegroup_ge64 C0424781_P",  # "aged" is a second spelling of ge64
        "C0015967_M cough_M agegroup_ls5 C0424781_I",
    )
    assert words(cohort, cohort.validation) == rows(
        "C0015967_M cough_P agegroup_ls5 C0424781_P",  # 40.0: on the upper cut
        "C0015967_P cough_A agegroup_M C0424781_A",  # a blank category is unknown
    )
    assert words(cohort, cohort.test) == rows(
        "C0015967_A cough_A agegroup_ge64 C0424781_M",  # a blank number is unknown
        "C0015967_P cough_P agegroup_ls5 C0424781_I",
    )
    npt.assert_array_equal(cohort.train.labels, [1, 0, 1, 0])
    npt.assert_array_equal(cohort.test.labels, [1, 0])
    assert (len(cohort.train), len(cohort.validation), len(cohort.test)) == (4, 2, 2)


def test_dtypes_and_shapes(hospital):
    train = read_cohort(hospital()).train
    assert (train.tokens.dtype, train.tokens.shape) == (np.uint8, (4, 4))
    assert (train.labels.dtype, train.labels.shape) == (np.int64, (4,))


def test_masked_unknowns_are_no_token_and_not_in_the_vocabulary(hospital):
    cohort = read_cohort(hospital(), "mask")
    assert words(cohort, cohort.train)[3] == ["-", "-", "agegroup_ls5", "C0424781_I"]
    assert words(cohort, cohort.test)[0][3] == "-"
    assert not [token.name for token in cohort.vocabulary if token.name.endswith("_M")]


def test_mask_is_the_default(hospital):
    site = hospital()
    npt.assert_array_equal(read_cohort(site).train.tokens, read_cohort(site, "mask").train.tokens)


def test_folded_findings_are_absent_but_grades_and_categories_keep_their_unknown(hospital):
    cohort = read_cohort(hospital(), "fold")
    assert words(cohort, cohort.train)[3] == ["C0015967_A", "cough_A", "agegroup_ls5", "C0424781_I"]
    assert words(cohort, cohort.validation)[1][2] == "agegroup_M"
    assert words(cohort, cohort.test)[0][3] == "C0424781_M"
    names = [token.name for token in cohort.vocabulary]
    assert [name for name in names if name.endswith("_M")] == ["agegroup_M", "C0424781_M"]


def test_kept_unknowns_give_the_whole_vocabulary_of_the_site(hospital):
    site = hospital()
    assert read_cohort(site, "keep").vocabulary == site.vocabulary


def test_an_unknown_way_to_treat_unknown(hospital):
    with pytest.raises(ConfigError, match="'drop'; expected one of keep, mask, fold"):
        read_cohort(hospital(), "drop")


FLAGS = """\
id,flu,fever,cough,part
e1,1.0,{p},{a},train
e2,0.0,{m},{p},train
e3,1.0,{p},{p},val
e4,0.0,{a},{m},val
e5,1.0,{a},{a},test
e6,0.0,{m},{m},test
"""
NO_GRADES = [
    (
        """[cohort.categories.agegroup]
column = "age"
values = { young = "ls5", old = "ge64", aged = "ge64" }
[cohort.grades.C0424781]
column = "temp"
unit = "C"
cuts = [38, 40]
names = ["I", "A", "P"]
""",
        "",
    )
]
FLAG_TOKENS = rows("C0015967_P cough_A", "C0015967_M cough_P")


@pytest.mark.parametrize(
    ("spelling", "cells"),
    [
        ('"P/A/M"', "P A M"),
        ('"P/A/M"', "p a m"),
        ('"1/0/blank"', "1 0 -"),
        ('"1/0/blank"', "1.0 0.0 -"),
        ('"true/false/null"', "true false -"),
        ('"true/false/null"', "TRUE False null"),
        ('"yes/no/blank"', "Yes no -"),
        ('{ present = ["y", "J"], absent = ["n"], unknown = ["9"] }', "J n 9"),
        ('{ present = ["2"], absent = ["1"], unknown = ["", "9"] }', "2.0 1.0 -"),
    ],
)
def test_spellings(hospital, spelling, cells):
    p, a, m = ["" if cell == "-" else cell for cell in cells.split()]
    site = hospital([*NO_GRADES, ('"P/A/M"', spelling)], text=FLAGS.format(p=p, a=a, m=m))
    cohort = read_cohort(site, "keep")
    assert words(cohort, cohort.train) == FLAG_TOKENS
    npt.assert_array_equal(cohort.validation.labels, [1, 0])  # "1.0" is the "1" of the site file


@pytest.mark.parametrize("kind", ["bool", "int64", "float64", "string"])
def test_parquet_gives_what_csv_gives(hospital, tmp_path, kind):
    text = FLAGS.format(p="1", a="0", m="")
    spelling = "true/false/null" if kind == "bool" else "1/0/blank"
    from_csv = read_cohort(hospital([*NO_GRADES, ("P/A/M", "1/0/blank")], text=text), "keep")
    table = pa_csv.read_csv(tmp_path / "hill.csv")
    for name in ("fever", "cough"):
        cells = table.column(name).cast(kind)
        table = table.set_column(table.column_names.index(name), name, cells)
    pa_parquet.write_table(table, tmp_path / "hill.parquet")
    site = hospital([*NO_GRADES, ("P/A/M", spelling), ("hill.csv", "hill.parquet")], text=text)
    from_parquet = read_cohort(site, "keep")
    for name in ("train", "validation", "test"):
        npt.assert_array_equal(getattr(from_parquet, name).tokens, getattr(from_csv, name).tokens)
        npt.assert_array_equal(getattr(from_parquet, name).labels, getattr(from_csv, name).labels)


BY_HASH = [('column = "part"\ntest = ["test"]\nvalidation = ["val"]', "test = 0.3"), ('"column"', '"hash"')]
MANY = "id,flu,fever,cough,age,temp\n" + "".join(f"{n},{n % 2},P,A,young,{35 + n % 7}.5\n" for n in range(60))


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_a_split_by_id_is_the_same_from_parquet(hospital, tmp_path, kind):
    from_csv = read_cohort(hospital(BY_HASH, text=MANY))
    table = pa_csv.read_csv(tmp_path / "hill.csv")
    pa_parquet.write_table(table.set_column(0, "id", table.column("id").cast(kind)), tmp_path / "hill.parquet")
    from_parquet = read_cohort(hospital([*BY_HASH, ("hill.csv", "hill.parquet")], text=MANY))
    npt.assert_array_equal(from_parquet.test.tokens, from_csv.test.tokens)
    assert 5 < len(from_csv.test) < 30


def test_others_are_the_columns_that_no_key_names(hospital):
    others = [('columns = { fever = "C0015967", cough = "cough" }', 'columns = "others"\nignore = ["part2"]')]
    table = "part2,id,flu,C0018681,sore_throat,age,temp,part\n" + "".join(
        f"free text,e{n},{n % 2},P,A,old,37,{part}\n" for n, part in enumerate(["train", "val", "test"] * 2)
    )
    site = hospital(others, text=table)
    assert [concept.code for concept in site.concepts] == ["C0018681", "sore_throat", "agegroup", "C0424781"]
    assert site.concepts[0].text == "headache"  # built in
    assert site.concepts[1].text == "sore throat"  # the code in words
    assert words(read_cohort(site), read_cohort(site).test)[0][:2] == ["C0018681_P", "sore_throat_A"]


def test_where_takes_rows_before_anything_is_checked(hospital, table):
    where = [("[cohort.label]", '[cohort.where]\nfever = ["P", "A"]\nage = ["young", "old", ""]\n[cohort.label]')]
    strange = [("e3,1,M,P,young,40.0,val", "e3,?,M,?,?,?,?")]  # outside `where`: nobody asks
    more = "e9,1,A,A,young,37,val\n"
    cohort = read_cohort(hospital(where, strange, text=table + more))
    assert (len(cohort.train), len(cohort.validation), len(cohort.test)) == (2, 2, 2)


def test_a_label_left_out_leaves_the_encounter_out(hospital):
    left_out = [('negative = ["0"]', 'leave_out = ["", "9"]')]
    cells = [("e1,1,", "e1,9,"), ("e2,0,A,M", "e2,,?,?"), ("e4,0,", "e4,no,")]  # without negative: all else is
    cohort = read_cohort(hospital(left_out, cells))
    npt.assert_array_equal(cohort.train.labels, [1, 0])
    npt.assert_array_equal(cohort.validation.labels, [1, 0])


def test_quotes_line_breaks_and_a_byte_order_mark(hospital, tmp_path, table):
    site = hospital()
    header, *lines = table.splitlines()
    noted = [header.replace("id", '"id",note'), *(line.replace(",", ',"a, ""b""\nc",', 1) for line in lines)]
    (tmp_path / "hill.csv").write_text("\ufeff" + "\r\n".join(noted), encoding="utf-8")
    assert len(read_cohort(site).train) == 4


def test_sentinels_of_an_unknown_number(hospital):
    site = hospital([('unit = "C"', 'unit = "C"\nunknown = ["999", "-"]')], [("35,", "999.0,"), ("41.2", "-")])
    cohort = read_cohort(site, "keep")
    assert [row[3] for row in words(cohort, cohort.train)] == ["C0424781_I", "C0424781_A", "C0424781_M", "C0424781_M"]


def test_a_nan_is_an_unknown_number(hospital):
    cohort = read_cohort(hospital(table=[("41.2", "NaN")]), "keep")
    assert words(cohort, cohort.train)[2][3] == "C0424781_M"


def test_fahrenheit_is_cut_in_fahrenheit(hospital):
    fahrenheit = [('unit = "C"', 'unit = "F"'), ("[38, 40]", "[100.4, 104.0]")]
    celsius = [
        ("37.9", "100.3"),
        ("38.0", "100.4"),
        ("40.0", "104"),
        ("39.9", "103.9"),
        ("36.5", "97.7"),
        ("41.2", "1.05e2"),
        ("35,", "95,"),
    ]
    npt.assert_array_equal(
        read_cohort(hospital(fahrenheit, celsius)).train.tokens, read_cohort(hospital()).train.tokens
    )
