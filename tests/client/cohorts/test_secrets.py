"""Whatever a patient's cells hold, no message repeats it."""

from __future__ import annotations

import csv
import io
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from client.cohorts import read_cohort
from client.site_file import load_site
from common.errors import SitebridgeError

SECRETS = (
    "Quincunx",
    "86420.13579",
    "-97531",
    "1897-05-06",
    "Quincunx\nrhombus",
    "Quincunx,helix",
    'Quincunx"ogee',
    "é",
)
TRACES = ("quincunx", "86420", "97531", "1897", "rhombus", "helix", "ogee", "é")

PARTS = '[split]\nby = "column"\ncolumn = "part"\ntest = ["test"]\nvalidation = ["val"]\n'
SITES = {
    "column": [],
    "declared": [('["val"]', '["val"]\ntrain = ["train"]'), ('negative = ["0"]\n', "")],
    "hash": [(PARTS, '[split]\nby = "hash"\ntest = 0.5\n')],
    "date": [(PARTS, '[split]\nby = "date"\ncolumn = "part"\ntest_from = 2020-01-01\n')],
    "format": [(PARTS, '[split]\nby = "date"\ncolumn = "part"\nformat = "%d/%m/%Y"\ntest_from = 2020-01-01\n')],
    "where": [("[cohort.label]", '[cohort.where]\nfever = ["A", "X"]\n[cohort.label]')],
    "others": [('columns = { fever = "C0015967", cough = "cough" }', 'columns = "others"')],
    "missing": [('"temp"', '"tmp"'), ('"part"', '"prat"')],
}
CELLS = st.dictionaries(
    st.tuples(st.integers(1, 8), st.integers(0, 6)), st.sampled_from(SECRETS), min_size=1, max_size=6
)


def said_by(path: Path) -> str:
    """Give what is raised, everything that a traceback would show included; empty where nothing is."""
    try:
        read_cohort(load_site(path))
    except SitebridgeError as error:
        return "".join(traceback.format_exception(error)).casefold()
    return ""


def written(cells, table: str, quoted: bool, header: bool) -> str:
    rows = list(csv.reader(io.StringIO(table)))
    for (row, column), secret in cells.items():
        rows[row][column] = secret
    rows = rows if header else rows[1:]
    if not quoted:  # a separator, a quote or a line break in a cell then breaks the file
        return "\n".join(",".join(row) for row in rows) + "\n"
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SITES)), CELLS, st.booleans(), st.booleans(), st.sampled_from(["utf-8", "latin-1"]))
@example("column", {(2, 0): "Quincunx", (3, 0): "Quincunx"}, True, True, "utf-8")  # one id twice
@example("column", {(1, 0): "Quincunx"}, True, False, "utf-8")  # no header: a patient in its place
@example("others", {(1, 0): "Quincunx"}, True, False, "utf-8")
def test_no_cell_of_a_csv_is_repeated(tmp_path, table, site_text, kind, cells, quoted, header, encoding):
    (tmp_path / "hill.csv").write_bytes(written(cells, table, quoted, header).encode(encoding))
    (tmp_path / "hill.toml").write_text(site_text(SITES[kind]))
    message = said_by(tmp_path / "hill.toml")
    assert [trace for trace in TRACES if trace in message] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SITES)), CELLS)
def test_no_cell_of_a_parquet_file_is_repeated(tmp_path, table, site_text, kind, cells):
    names, *rows = csv.reader(io.StringIO(written(cells, table, True, True)))
    pa_parquet.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), tmp_path / "hill.parquet")
    (tmp_path / "hill.toml").write_text(site_text(SITES[kind]).replace("hill.csv", "hill.parquet"))
    message = said_by(tmp_path / "hill.toml")
    assert [trace for trace in TRACES if trace in message] == []
