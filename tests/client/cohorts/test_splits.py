"""Which encounters train, choose and test."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.testing as npt
import pytest

from client.cohorts import read_cohort
from client.cohorts.cells import Column, Table
from client.cohorts.splits import draws
from common.errors import CohortError

COLUMN = '[split]\nby = "column"\ncolumn = "part"\ntest = ["test"]\nvalidation = ["val"]\n'
MANY = "id,flu,fever,cough,age,temp,part\n" + "".join(
    f"e{n},{n % 2},P,A,old,37,{('train', 'test')[n % 5 == 0]}\n" for n in range(1000)
)


def draw(seed: int, name: str) -> float:
    """Draw as the documentation says: the first 53 bits of SHA-256 of "seed|id"."""
    return (int(hashlib.sha256(f"{seed}|{name}".encode()).hexdigest(), 16) >> (256 - 53)) / 2**53


def test_draws_are_the_hash_of_seed_and_id():
    column = Column(np.array([1, 0, 1], dtype=np.int32), ("a", "b"))
    table = Table("x.csv", {"id": column}, np.array([1, 2, 3]))
    npt.assert_array_equal(draws(7, table, "id"), [draw(7, "b"), draw(7, "a"), draw(7, "b")])
    npt.assert_array_equal(draws(7, table, None), [draw(7, "1"), draw(7, "2"), draw(7, "3")])


def test_by_hash(hospital):
    split = [(COLUMN, '[split]\nby = "hash"\ntest = 0.3\nvalidation = 0.1\nseed = 5\n')]
    cohort = read_cohort(hospital(split, text=MANY))
    drawn = [draw(5, f"e{n}") for n in range(1000)]
    labels = np.arange(1000) % 2
    npt.assert_array_equal(cohort.test.labels, labels[[d < 0.3 for d in drawn]])
    npt.assert_array_equal(cohort.validation.labels, labels[[0.3 <= d < 0.4 for d in drawn]])
    npt.assert_array_equal(cohort.train.labels, labels[[d >= 0.4 for d in drawn]])


def test_by_hash_an_encounter_keeps_its_part_when_the_file_grows(hospital):
    split = [(COLUMN, '[split]\nby = "hash"\ntest = 0.3\n')]
    rows = MANY.splitlines()[1:]
    before = len(read_cohort(hospital(split, text="\n".join([MANY.splitlines()[0], *rows[:500]]))).test)
    after = read_cohort(hospital(split, text="\n".join([MANY.splitlines()[0], *reversed(rows)]))).test
    assert before == sum(draw(0, f"e{n}") < 0.3 for n in range(500))
    assert len(after) == sum(draw(0, f"e{n}") < 0.3 for n in range(1000))


def test_another_seed_is_another_split(hospital):
    parts = [
        read_cohort(hospital([(COLUMN, f'[split]\nby = "hash"\ntest = 0.3\nseed = {seed}\n')], text=MANY)).test.labels
        for seed in (1, 2)
    ]
    assert parts[0].tolist() != parts[1].tolist()


def test_by_column_with_a_share_for_validation(hospital):
    cohort = read_cohort(hospital([('validation = ["val"]', "validation = 0.25\nseed = 3")], text=MANY))
    drawn = np.array([draw(3, f"e{n}") for n in range(1000)])
    test = np.arange(1000) % 5 == 0
    assert len(cohort.test) == 200
    npt.assert_array_equal(cohort.validation.labels, (np.arange(1000) % 2)[~test & (drawn < 0.25)])


def test_without_an_id_the_row_number_is_drawn(hospital):
    cohort = read_cohort(hospital([('validation = ["val"]', "validation = 0.25"), ('id = "id"\n', "")], text=MANY))
    test = np.arange(1000) % 5 == 0
    drawn = np.array([draw(0, f"{row}") for row in range(1, 1001)])
    assert len(cohort.validation) == (~test & (drawn < 0.25)).sum()


def test_by_date(hospital):
    split = [(COLUMN, '[split]\nby = "date"\ncolumn = "part"\ntest_from = "2008-01-01"\nvalidation = 0.5\n')]
    days = ["2007-12-31", "2008-01-01", "2008-01-01 00:00:00", "2007-12-31T23:59:59Z"]
    text = "id,flu,fever,cough,age,temp,part\n" + "".join(
        f"e{n},{n // 4 % 2},P,A,old,37,{days[n % 4]}\n" for n in range(80)
    )
    cohort = read_cohort(hospital(split, text=text))
    assert len(cohort.test) == 40
    assert len(cohort.train) + len(cohort.validation) == 40


def test_by_date_in_the_site_s_format(hospital):
    plan = 'by = "date"\ncolumn = "part"\nformat = "%m/%d/%Y"\ntest_from = 2008-03-02\n'
    days = ["3/1/2008", "03/02/2008", "4/1/2008"]
    text = "id,flu,fever,cough,age,temp,part\n" + "".join(
        f"e{n},{n // 3 % 2},P,A,old,37,{days[n % 3]}\n" for n in range(60)
    )
    assert len(read_cohort(hospital([(COLUMN, f"[split]\n{plan}")], text=text)).test) == 40


BY_FILE = [(COLUMN, '[split]\nby = "file"\nvalidation = 0.5\n'), ('"hill.csv"', '"hill.csv"\ntest_file = "late.csv"')]


def test_by_file(hospital):
    late = "id,flu,fever,cough,age,temp\nx1,1,P,A,old,37\nx2,0,P,M,old,37\nx3,,P,A,old,37\n"
    site = hospital([*BY_FILE, ('["0"]', '["0"]\nleave_out = [""]')], text=MANY, late=late)
    cohort = read_cohort(site)
    npt.assert_array_equal(cohort.test.labels, [1, 0])  # the row without a label is left out of the test file too
    assert len(cohort.train) + len(cohort.validation) == 1000


def test_by_file_both_files_are_checked(hospital):
    late = "id,flu,fever,cough,age\ne1,1,P,A,old\nx2,?,X,M,old\n"
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital(BY_FILE, text=MANY, late=late))
    message = str(caught.value)
    assert "4 problems" in message
    assert 'late.csv: no column "temp"' in message
    assert 'late.csv: column "flu": a label that the site file does not declare in 1 row (data row 2)' in message
    assert 'late.csv: column "fever": a value outside the spelling in 1 row (data row 2)' in message
    assert 'late.csv: column "id": an id that hill.csv has too in 1 row (data row 1)' in message
