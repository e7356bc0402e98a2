"""A hospital of eight encounters whose cells hold a word that no message may repeat."""

from __future__ import annotations

TABLE = """\
id,patient,flu,fever,cough,age,temp,part,day,ward
quincunx1,p1,1,P,A,young,37.9,train,2020-01-01,quincunx
quincunx2,p2,0,A,M,old,38.0,train,2020-01-02,b
e3,p3,1,M,P,young,40.0,val,2020-02-01,"quincunx, c"
e4,p4,0,P,A,,39.9,val,2020-02-02,b
e5,p5,1,A,A,old,,test,2020-03-01,b
e6,p5,0,P,P,young,36.5,test,2020-03-02,b
e7,p6,1,A,P,aged,41.2,train,2020-01-03,b
e8,p7,0,M,M,young,35,train,2020-01-04,b
"""

_COLUMN = """\
name = "hill"
[cohort]
file = "hill.csv"
id = "id"
patient = "patient"
[cohort.label]
column = "flu"
positive = ["1"]
negative = ["0"]
[cohort.findings]
spelling = "P/A/M"
columns = { fever = "C0015967", cough = "cough" }
[cohort.categories.agegroup]
column = "age"
values = { young = "ls5", old = "ge64", aged = "ge64" }
[cohort.grades.C0424781]
column = "temp"
unit = "C"
cuts = [38, 40]
names = ["I", "A", "P"]
[split]
by = "column"
column = "part"
test = ["test"]
validation = ["val"]
"""
_HEAD, _ = _COLUMN.split("[split]")

SITE = {
    "column": _COLUMN,
    "hash": _HEAD + '[split]\nby = "hash"\ntest = 0.5\nseed = 3\n',
    "date": _HEAD + '[split]\nby = "date"\ncolumn = "day"\ntest_from = 2020-02-15\nvalidation = 0.3\n',
    "where": _HEAD.replace("[cohort.label]", '[cohort.where]\nward = ["b"]\n[cohort.label]')
    + '[split]\nby = "date"\ncolumn = "day"\nformat = "%Y-%m-%d"\ntest_from = 2020-02-15\n',
    "others": _HEAD.replace('{ fever = "C0015967", cough = "cough" }', '"others"\nignore = ["ward", "day", "part"]')
    + '[split]\nby = "hash"\ntest = 0.5\n',
}
