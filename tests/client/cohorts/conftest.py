"""A hospital of eight encounters, small enough to check by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from client.site_file import Site, load_site

TABLE = """\
id,flu,fever,cough,age,temp,part
e1,1,P,A,young,37.9,train
e2,0,A,M,old,38.0,train
e3,1,M,P,young,40.0,val
e4,0,P,A,,39.9,val
e5,1,A,A,old,,test
e6,0,P,P,young,36.5,test
e7,1,A,P,aged,41.2,train
e8,0,M,M,young,35,train
"""

SITE = """\
name = "hill"
[cohort]
file = "hill.csv"
id = "id"
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

Changes = Sequence[tuple[str, str]]
Write = Callable[..., Site]


def change(text: str, changes: Changes) -> str:
    """Replace, once each, and fail where there is nothing to replace."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in the text"
        text = text.replace(old, new, 1)
    return text


@pytest.fixture
def table() -> str:
    """Give the eight encounters as text."""
    return TABLE


@pytest.fixture
def site_text() -> Callable[[Changes], str]:
    """Give the hospital's site file, with changes, as text."""
    return lambda changes: change(SITE, changes)


@pytest.fixture
def hospital(tmp_path: Path) -> Write:
    """Write the hospital with changes, and more files, and load its site file."""

    def write(site: Changes = (), table: Changes = (), text: str | None = None, **files: str) -> Site:
        (tmp_path / "hill.csv").write_text(change(TABLE if text is None else text, table), encoding="utf-8")
        for name, content in files.items():
            (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
        path = tmp_path / "hill.toml"
        path.write_text(change(SITE, site), encoding="utf-8")
        return load_site(path)

    return write
