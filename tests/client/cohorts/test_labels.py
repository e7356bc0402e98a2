"""Several classes, and several labels at once, in a site file and in its table."""

from __future__ import annotations

import numpy.testing as npt
import pytest

from client.cohorts.cohort import read_cohort
from common.errors import CohortError, ConfigError

CLASSES = [('positive = ["1"]\nnegative = ["0"]', 'classes = { none = ["0", "9"], flu = ["1"], rsv = ["2"] }')]
RSV = [("e3,1", "e3,2"), ("e5,1", "e5,2"), ("e7,1", "e7,2")]
LABEL = '[cohort.label]\ncolumn = "flu"\npositive = ["1"]\nnegative = ["0"]\n'
LABELS = (
    '[cohort.labels.flu]\ncolumn = "flu"\npositive = ["1"]\n[cohort.labels.rsv]\ncolumn = "rsv"\npositive = ["1"]\n'
)
TWO = """\
id,flu,rsv,fever,cough,age,temp,part
e1,1,0,P,A,young,37.9,train
e2,0,0,A,M,old,38.0,train
e3,1,1,M,P,young,40.0,val
e4,0,1,P,A,,39.9,val
e5,1,1,A,A,old,,test
e6,0,0,P,P,young,36.5,test
e7,,1,A,P,aged,41.2,train
"""


def test_classes_are_numbered_as_the_site_file_lists_them(hospital):
    site = hospital(CLASSES, RSV)
    assert site.file.cohort.shape().classes == ("none", "flu", "rsv")
    cohort = read_cohort(site)
    npt.assert_array_equal(cohort.train.labels, [1, 0, 2, 0])
    npt.assert_array_equal(cohort.test.labels, [2, 0])


def test_two_classes_by_name_are_positive_and_negative(hospital):
    named = read_cohort(hospital([('positive = ["1"]\nnegative = ["0"]', 'classes = { no = ["0"], yes = ["1"] }')]))
    plain = read_cohort(hospital())
    for part in ("train", "validation", "test"):
        npt.assert_array_equal(getattr(named, part).labels, getattr(plain, part).labels)


def test_labels_are_columns(hospital):
    site = hospital([(LABEL, LABELS.replace('positive = ["1"]', 'positive = ["1"]\nleave_out = [""]', 1))], text=TWO)
    assert site.file.cohort.shape().labels == ("flu", "rsv")
    cohort = read_cohort(site)
    npt.assert_array_equal(cohort.train.labels, [[1, 0], [0, 0]])  # the last has no flu label: left out
    npt.assert_array_equal(cohort.validation.labels, [[1, 1], [0, 1]])


def test_a_class_that_the_site_never_sees_has_no_spelling(hospital):
    site = hospital([(CLASSES[0][0], CLASSES[0][1].replace('["2"]', "[]"))])
    npt.assert_array_equal(read_cohort(site).train.labels, [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([('positive = ["1"]', "")], "cohort.label: positive is missing; give its spellings, or those of each of"),
        ([('positive = ["1"]', 'classes = { a = ["1"], b = ["2"] }')], "positive and negative are not read beside"),
        ([(CLASSES[0][0], 'classes = { a = ["1"], b = ["1.0"] }')], 'the spelling "1" stands in both a and b; name it'),
        ([(CLASSES[0][0], 'classes = { a = ["1"] }')], "cohort.label.classes: names 1; expected from 2 to 100"),
        ([(CLASSES[0][0], 'classes = { a = ["1"], N = [] }')], "'N' cannot be the name of a class or label"),
        ([(LABEL, "")], "key label is missing; add [cohort.label], or [cohort.labels.NAME] for several labels at once"),
        ([(LABEL, LABEL + LABELS.replace('"flu"', '"b"'))], "label and labels: an encounter has one label or several"),
        ([(LABEL, LABELS.replace('"rsv"', '"flu"'))], 'the column "flu" is named by labels.flu.column and labels.rsv'),
        (
            [(LABEL, LABELS.replace('positive = ["1"]', 'classes = { a = ["1"], b = [] }', 1))],
            "labels.flu.classes: each",
        ),
        ([(LABEL, LABELS.split("[cohort.labels.rsv]")[0])], "cohort.labels: names 1; expected from 2 to 100"),
    ],
)
def test_what_a_site_file_may_not_say(hospital, changes, expected):
    with pytest.raises(ConfigError) as caught:
        hospital(changes)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("site", "table", "expected"),
    [
        (CLASSES, [], "none of 8 encounters is rsv; check cohort.label and cohort.where"),
        (CLASSES, [("e3,1", "e3,7")], "not declare in 1 row (data row 3); add its spelling to a class or leave_out of"),
        (
            CLASSES,
            [("e3,1", "e3,")],
            'a blank label in 1 row (data row 3); add "" to cohort.label.leave_out, or to a class',
        ),
        (CLASSES, [*RSV, ("e6,0", "e6,2")], "the test part has no none or flu encounter, of 2; check [split]"),
    ],
)
def test_what_a_table_of_classes_may_not_have(hospital, site, table, expected):
    with pytest.raises(CohortError) as caught:
        read_cohort(hospital(site, table))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("e5,1,1", "e5,0,0"), "the test part has no other encounter, of 2; check [split] and cohort.label"),
        (("rsv,fever", "sv,fever"), "no column \"rsv\" (cohort.labels.rsv.column; did you mean 'sv'?)"),
        (("e7,,1", "e7,x,1"), None),
    ],
)
def test_what_a_table_of_labels_may_not_have(hospital, change, expected):
    site = hospital([(LABEL, LABELS.replace('positive = ["1"]', 'positive = ["1"]\nleave_out = [""]', 1))],
                    text=TWO.replace(*change))  # fmt: skip
    if expected is None:  # without a list of negatives, every other cell is one
        npt.assert_array_equal(read_cohort(site).train.labels, [[1, 0], [0, 0], [0, 1]])
        return
    with pytest.raises(CohortError) as caught:
        read_cohort(site)
    assert expected in str(caught.value)
