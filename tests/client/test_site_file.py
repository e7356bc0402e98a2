"""The site file: what a good one gives, and each way in which one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.cohorts import read_cohort
from client.policy import Policy
from client.site_file import Site, load_site
from common.concepts import builtin_concepts
from common.embeddings import builtin_table
from common.errors import CohortError, ConfigError

SITE = """\
name = "hill-2"
[cohort]
file = "hill.csv"
id = "id"
[cohort.where]
clinic = ["a", "b"]
[cohort.label]
column = "flu"
positive = ["1"]
negative = ["0"]
leave_out = [""]
[cohort.findings]
spelling = { present = ["1"], absent = ["0"], unknown = ["", "9"] }
columns = { fever = "C0015967x", headache = "C0018681", night_sweats = "night_sweats" }
[cohort.texts]
C0015967x = "elevated body temperature"
[cohort.categories.agegroup]
column = "age"
values = { young = "ls5", old = "ge64" }
texts = { ge64 = "sixty-five and over" }
[cohort.grades.C0424781]
column = "temp"
unit = "F"
cuts = [100.4, 104.0]
names = ["I", "A", "P"]
[split]
by = "hash"
test = 0.2
[tables]
minilm = "builtin:minilm"
own = "own.safetensors"
[policy]
strategies = ["direct", "full"]
"""
HEADER = "id,clinic,flu,fever,headache,night_sweats,age,temp\n"


def write(folder, *changes: tuple[str, str], header: str = HEADER) -> Site:
    text = SITE
    for old, new in changes:
        assert old in text, f"{old!r} is not in the text"
        text = text.replace(old, new, 1)
    (folder / "hill.csv").write_text(header)
    (folder / "own.safetensors").write_bytes(b"")
    (folder / "hill.toml").write_text(text)
    return load_site(folder / "hill.toml")


def test_a_site(tmp_path):
    site = write(tmp_path)
    assert site.name == "hill-2"
    assert site.path == tmp_path / "hill.toml"
    assert site.files == (tmp_path / "hill.csv",)
    assert site.tables == {"minilm": builtin_table("minilm"), "own": tmp_path / "own.safetensors"}
    assert site.policy == Policy(strategies=("direct", "full"), max_rounds=100, max_epochs=1000, min_cell=11)
    codes = ["C0015967x", "C0018681", "night_sweats", "agegroup", "C0424781"]
    assert [concept.code for concept in site.concepts] == codes
    assert [source.column for source in site.sources] == ["fever", "headache", "night_sweats", "age", "temp"]


def test_words_are_the_site_s_own_else_built_in_else_the_code(tmp_path):
    texts = {token.name: token.text for token in write(tmp_path).vocabulary}
    assert texts["C0015967x_P"] == "elevated body temperature"
    assert texts["C0018681_A"] == "Not headache"
    assert texts["night_sweats_M"] == "night sweats not mentioned"
    assert texts["agegroup_ge64"] == "sixty five and over"
    assert texts["agegroup_ls5"].startswith("infant")
    assert "agegroup_ge6ls65" not in texts  # the site has no such value
    assert texts["C0424781_M"] == builtin_concepts()["C0424781"].values["M"]
    assert len(texts) == 3 * 3 + 3 + 4


def test_a_list_of_columns_and_a_named_spelling(tmp_path):
    columns = 'columns = { fever = "C0015967x", headache = "C0018681", night_sweats = "night_sweats" }'
    spelling = 'spelling = { present = ["1"], absent = ["0"], unknown = ["", "9"] }'
    site = write(
        tmp_path,
        (columns, 'columns = ["headache", "fever"]'),
        (spelling, 'spelling = "P/A/M"'),
        ('C0015967x = "', 'fever = "'),
    )
    assert [concept.code for concept in site.concepts[:2]] == ["headache", "fever"]
    assert site.file.cohort.findings is not None
    assert site.file.cohort.findings.spelling.present == ("P",)


def test_paths_with_a_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("HILL_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "hill.csv").write_text(HEADER)
    site = write(tmp_path, ('"hill.csv"', '"${HILL_DATA}/hill.csv"'))
    assert site.files == (tmp_path / "elsewhere" / "hill.csv",)


def test_the_data_are_not_read(tmp_path):
    write(tmp_path, header=HEADER + "not,a,row\n")


def test_others_leave_out_every_column_that_is_named(tmp_path):
    columns = 'columns = { fever = "C0015967x", headache = "C0018681", night_sweats = "night_sweats" }'
    site = write(
        tmp_path,
        (columns, 'columns = "others"\nignore = ["ward"]'),
        ('by = "hash"\ntest = 0.2', 'by = "column"\ncolumn = "season"\ntest = ["2008"]'),
        ("C0015967x", "fever"),
        header="ward,id,clinic,flu,fever,season,C0018681,age,temp\n",
    )
    assert [source.column for source in site.sources] == ["fever", "C0018681", "age", "temp"]


OTHERS = (
    'columns = { fever = "C0015967x", headache = "C0018681", night_sweats = "night_sweats" }',
    'columns = "others"',
)
NO_TEXTS = ('[cohort.texts]\nC0015967x = "elevated body temperature"\n', "")

BROKEN = {
    "name": ([('"hill-2"', '"Hill 2"')], "name: 'Hill 2' is not a site's name; expected a-z, 0-9 and -"),
    "no name": ([('name = "hill-2"\n', "")], "key name is missing"),
    "section": ([("[policy]", "[polcy]")], "unknown key polcy; did you mean policy?"),
    "key": ([("leave_out", "leaveout")], "unknown key cohort.label.leaveout; did you mean cohort.label.leave_out?"),
    "key of a grade": ([("cuts =", "cut =")],
        "unknown key cohort.grades.C0424781.cut; did you mean cohort.grades.C0424781.cuts?"),
    "key of a spelling": ([("unknown = [", "unknwon = [")],
        "unknown key cohort.findings.spelling.unknwon; did you mean cohort.findings.spelling.unknown?"),
    "numbers as spelling": ([('positive = ["1"]', "positive = [1]")],
        "cohort.label.positive.0 should be a valid string. Got 1 instead"),
    "no positive": ([('positive = ["1"]', "positive = []")], "cohort.label.positive"),
    "label clash": ([('["0"]', '["0", "1.0"]')],
        'cohort.label: the spelling "1" stands in both positive and negative; name it once'),
    "spelling clash": ([('absent = ["0"]', 'absent = ["0", "9"]')],
        'cohort.findings.spelling: the spelling "9" stands in both absent and unknown'),
    "named spelling": ([('spelling = { present = ["1"], absent = ["0"], unknown = ["", "9"] }', 'spelling = "Y/N"')],
        "cohort.findings.spelling: 'Y/N' is not a spelling; expected one of \"P/A/M\", \"1/0/blank\""),
    "columns": ([(OTHERS[0], "columns = 3")],
        'cohort.findings.columns: must be a list of columns, a table of column = "concept code", or "others"'),
    "column listed twice": ([(OTHERS[0], 'columns = ["fever", "fever"]')],
        'cohort.findings.columns: names the column "fever" twice'),
    "ignore": ([("[cohort.texts]", 'ignore = ["ward"]\n[cohort.texts]')],
        'cohort.findings: ignore is read only with columns = "others"; remove it'),
    "column used twice": ([('column = "age"', 'column = "fever"')],
        'cohort: the column "fever" is named by findings.columns and categories.agegroup.column'),
    "label as a finding": ([("{ fever =", "{ flu =")],
        'cohort: the column "flu" is named by label.column and findings.columns; a column has one meaning'),
    "split column as a finding": ([('by = "hash"\ntest = 0.2', 'by = "column"\ncolumn = "fever"\ntest = ["1"]')],
        'the column "fever" is named by cohort.findings.columns and split.column; a column has one meaning'),
    "concept used twice": ([('"C0018681"', '"agegroup"')],
        'cohort: the concept "agegroup" is declared by more than one column; a concept has one column'),
    "names": ([('["I", "A", "P"]', '["I", "A"]')],
        "cohort.grades.C0424781: 2 names for 2 cuts; expected 3 names, one more than there are cuts"),
    "cuts": ([("[100.4, 104.0]", "[104.0, 100.4]")], "cuts must increase from one to the next"),
    "cut that is no number": ([("[100.4, 104.0]", "[100.4, nan]")], "cohort.grades.C0424781.cuts.1"),
    "wrong unit": ([('"F"', '"C"')],
        "the cut 100.4 is outside the plausible 25 to 45 (unit C); check cuts, unit and range"),
    "no such unit": ([('"F"', '"K"')], "cohort.grades.C0424781.unit should be 'C', 'F' or 'years'. Got 'K' instead"),
    "range": ([('unit = "F"', 'unit = "F"\nrange = [115, 80]')], "range must be the lowest and then the highest"),
    "same grade": ([('"A", "P"]', '"A", "A"]')], "cohort.grades.C0424781: names has a grade twice"),
    "unknown as a value": ([('old = "ge64"', 'old = "M"')],
        'cohort.categories.agegroup: "M" is the name of "unknown"; give the value another name, or list it as unknown'),
    "text of no value": ([("texts = { ge64", "texts = { ge46")],
        'cohort.categories.agegroup: texts gives a sentence for "ge46", which is no value here; expected ls5, ge64'),
    "blank text": ([('"sixty-five and over"', '" "')], 'cohort.categories.agegroup: the text of "ge64" is blank'),
    "category clash": ([('column = "age"', 'column = "age"\nunknown = ["old"]')],
        'cohort.categories.agegroup: the spelling "old" stands in both values and unknown'),
    "value without words": ([('old = "ge64"', 'old = "ge64", boy = "boy"')],
        "cohort.categories.agegroup: no sentence for boy; add each to cohort.categories.agegroup.texts"),
    "grade without words": ([("grades.C0424781", "grades.pulse")],
        "cohort.grades.pulse: no sentence for I, A, P; add each to cohort.grades.pulse.texts"),
    "words of no concept": ([("C0015967x = \"", "C9 = \"")], "cohort.texts: no column is declared for C9"),
    "blank words": ([('"elevated body temperature"', '""')], 'cohort: texts."C0015967x" is blank'),
    "grade as a finding": ([('"C0018681"', '"C0424781"'), ("grades.C0424781", "grades.agegroup2")],
        '"C0424781" has values of its own, not P, A and M; declare it in [cohort.categories.C0424781] or'),
    "one token of two concepts": ([('"night_sweats" }', '"agegroup_x" }'), ('old = "ge64"', 'old = "x_P"'),
        ("texts = { ge64", "texts = { ls5 = 'a', x_P")],
        'cohort: the concepts "agegroup_x" and "agegroup" both give the token "agegroup_x_P"; rename one'),
    "no concept": ([(SITE[SITE.index("[cohort.findings]"):SITE.index("[split]")], "")],
        "cohort: declares no concept; add [cohort.findings], [cohort.categories.CODE] or"),
    "where": ([('["a", "b"]', '["1", "1.0"]')], 'cohort: where."clinic": the spelling "1" stands twice in its list'),
    "where without values": ([('["a", "b"]', "[]")], "cohort.where.clinic"),
    "no such split": ([('"hash"', '"season"')], "split.by should be 'hash', 'column', 'date' or 'file'"),
    "share": ([("test = 0.2", "test = 20")], "split.test: must be a share between 0 and 1, or a list"),
    "share of all": ([("test = 0.2", "test = 0.8")], "split: test and validation leave nothing to train on"),
    "hash without id": ([('id = "id"\n', "")], 'cohort.id is needed with split.by = "hash"'),
    "hash with values": ([("test = 0.2", 'test = ["2008"]')],
        'split: test must be a share between 0 and 1 with by = "hash"'),
    "validation with values": ([("test = 0.2", 'test = 0.2\nvalidation = ["v"]')],
        'split: validation must be a share between 0 and 1 with by = "hash"'),
    "column without column": ([('by = "hash"\ntest = 0.2', 'by = "column"\ntest = 0.2')],
        'split: column is needed with by = "column"'),
    "column with a share": ([('by = "hash"', 'by = "column"\ncolumn = "season"')],
        'split: test must list the spellings that mean test with by = "column"'),
    "split clash": ([('by = "hash"\ntest = 0.2', 'by = "column"\ncolumn = "s"\ntest = ["t"]\nvalidation = ["t"]')],
        'split: the spelling "t" stands in both test and validation'),
    "date without day": ([('by = "hash"\ntest = 0.2', 'by = "date"\ncolumn = "day"')],
        'split: test_from is needed with by = "date"'),
    "day": ([('by = "hash"\ntest = 0.2', 'by = "date"\ncolumn = "day"\ntest_from = "1/1/08"')], "split.test_from"),
    "format": ([('by = "hash"\ntest = 0.2', 'by = "date"\ncolumn = "d"\nformat = "%d/%m"\ntest_from = 2008-01-01')],
        "split.format: '%d/%m' does not give year, month and day; expected the like of '%m/%d/%Y'"),
    "key of another split": ([("test = 0.2", 'test = 0.2\ncolumn = "x"\ntest_from = 2008-01-01')],
        'column is not read with by = "hash"; remove it'),
    "file without test file": ([('by = "hash"\ntest = 0.2', 'by = "file"')],
        'cohort.test_file is needed with split.by = "file"'),
    "test file without file": ([('"hill.csv"', '"hill.csv"\ntest_file = "hill.csv"')],
        'cohort.test_file is not read with split.by = "hash"; use by = "file" or remove test_file'),
    "one file twice": ([('"hill.csv"', '"hill.csv"\ntest_file = "hill.csv"'),
        ('by = "hash"\ntest = 0.2', 'by = "file"')],
        "cohort.test_file is the same file as cohort.file"),
    "no file": ([('"hill.csv"', '"dale.csv"')], "cohort.file: no such file: "),
    "kind of file": ([('"hill.csv"', '"own.safetensors"')],
        'cohort.file: expected a name that ends in .csv or .parquet. Got "own.safetensors" instead'),
    "variable": ([('"hill.csv"', '"${HILL_UNSET}/hill.csv"')], "the environment variable HILL_UNSET is not set"),
    "no built-in table": ([('"builtin:minilm"', '"builtin:maxilm"')],
        "tables.minilm: no built-in embedding table 'maxilm'; expected one of minilm"),
    "strategy": ([('["direct", "full"]', '["direct", "fulll"]')],
        "policy.strategies: 'fulll' is not a transfer strategy; expected some of source, local, direct, "),
    "strategy twice": ([('["direct", "full"]', '["full", "full"]')], "policy.strategies: names a strategy twice"),
    "no strategy": ([('["direct", "full"]', "[]")], "policy.strategies"),
    "limit": ([("[policy]", "[policy]\nmax_rounds = 0")], "policy.max_rounds should be greater than or equal to 1"),
    "limit that is no number": ([("[policy]", '[policy]\nmin_cell = "11"')],
        "policy.min_cell should be a valid integer"),
    "no header": ([OTHERS, NO_TEXTS, ('"flu"', '"influenza"')],
        'hill.csv: no column "influenza" (cohort.label.column); does it begin with a header?'),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_broken(tmp_path, changes, expected):
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, *changes)
    assert str(caught.value).startswith(f"{tmp_path / 'hill.toml'}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "cohort.file: hill.csv: the file is empty"),
        ("id,flu,clinic,age,temp\n", 'cohort.findings.columns is "others", but every column of the file is named'),
        (",id,flu,clinic,age,temp,fever\n", 'a column has no name; give it one, or add "" to cohort.findings.ignore'),
        ("e1,1,a,old,37,P\n", 'hill.csv: no column "flu" (cohort.label.column); does it begin with a header?'),
    ],
)
def test_others_need_a_header(tmp_path, header, expected):
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, OTHERS, NO_TEXTS, header=header)
    assert expected in str(caught.value)


def test_all_problems_of_the_file_come_in_one_error(tmp_path):
    changes = [('"hill-2"', '"Hill"'), ("leave_out", "leaveout"), ('["I", "A", "P"]', '["I", "I"]'),
               ("[100.4, 104.0]", "[104.0, 100.4]"), ("test = 0.2", "test = 2"), ("direct", "drect")]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, *changes)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("hill.toml: 7 problems")
    assert [line.removeprefix("  - ").split(":")[0].split(";")[0] for line in lines] == [
        "name", "unknown key cohort.label.leaveout", *["cohort.grades.C0424781"] * 3, "split.test", "policy.strategies",
    ]  # fmt: skip


def test_all_problems_with_what_the_file_names_come_in_one_error(tmp_path):
    changes = [('"hill.csv"', '"dale.csv"'), ("minilm\"", "maxilm\""),
               ("C0015967x = \"", "C9 = \""), ("young = \"ls5\"", "young = \"child\"")]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, *changes)
    assert "hill.toml: 4 problems" in str(caught.value)


def test_the_documented_example_is_a_site_file(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "site-file.md"
    (tmp_path / "hill.csv").write_text("encounter,clinic,rapid_test,dry_cough,headache,felt_hot,age,temp_f,visit_day\n")
    (tmp_path / "site.toml").write_text(page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0])
    site = load_site(tmp_path / "site.toml")
    assert [concept.code for concept in site.concepts] == ["C0850149", "C0018681", "fever", "agegroup", "C0424781"]


def test_draws_are_by_patient_where_one_is_named(tmp_path):
    header = HEADER.replace("id,", "id,mrn,")
    site = write(tmp_path, ('id = "id"\n', 'id = "id"\npatient = "mrn"\n'), header=header)
    rows = [f"e{n},p{n // 4},{'ab'[n % 2]},{n % 2},1,0,,young,99.0\n" for n in range(400)]
    (tmp_path / "hill.csv").write_text(header + "".join(rows))
    split = read_cohort(site)
    assert len(split.test) % 4 == len(split.train) % 4 == len(split.validation) % 4 == 0
    assert 40 < len(split.test) < 120


def test_a_patient_alone_is_enough_for_a_hash(tmp_path):
    header = HEADER.replace("id,", "mrn,", 1)
    assert write(tmp_path, ('id = "id"\n', 'patient = "mrn"\n'), header=header).file.cohort.patient == "mrn"


def test_a_blank_patient_is_an_error(tmp_path):
    header = HEADER.replace("id,", "id,mrn,")
    site = write(tmp_path, ('id = "id"\n', 'id = "id"\npatient = "mrn"\n'), header=header)
    (tmp_path / "hill.csv").write_text(header + "e1,,a,1,1,0,,young,99.0\ne2,p2,a,0,1,0,,young,99.0\n")
    with pytest.raises(CohortError, match=r'column "mrn": a blank patient in 1 row \(data row 1\)'):
        read_cohort(site)


def test_a_patient_is_a_column_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match='the column "id" is named by id and patient'):
        write(tmp_path, ('id = "id"\n', 'id = "id"\npatient = "id"\n'))
