"""The commented site file that `init` writes; a person fills in the cohort and the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

from common.concepts import builtin_concepts
from common.errors import CohortError
from common.strategies import ROLES

MARK = "# <- FILL IN"
_MOST = 2000  # columns that are listed

_TEXT = """\
# The site file of {name}. It stays here; only the agent reads it. docs/site-file.md explains every key.
# An unknown key is an error, and so is a cell that this file does not declare: nothing is guessed.
# Lines that end in "FILL IN" wait for you. Then: sitebridge site check

name = "{name}"  # under which the coordinator registers this site

# ---- Records in OMOP, FHIR, MEDS or SQL: docs/records.md. Then [cohort] holds two keys, `definition` and `file`, and
# this file has no [cohort.label], [cohort.findings] or [split]: the definition says all that.
# [records]
# kind = "omop"                      # or "fhir", "meds", "sql", "tables"

# ---- The table of encounters: CSV (UTF-8, commas, one header line) or Parquet, one row for each encounter.
[cohort]
file = {file}  {file_mark}; relative to this file; ${{VARIABLE}} is an environment variable
id = "encounter_id"  {mark}: a column; no two encounters share an id
# patient = "patient_id"             # draws are then by patient, so that a patient's encounters stay in one part
{columns}
# [cohort.where]                     # only some rows: for each column, the cells that are taken
# clinic = ["north", "south"]

[cohort.label]  # what is predicted
column = "influenza"  {mark}
positive = ["1"]  {mark}: the cells that mean yes
negative = ["0"]  {mark}: the cells that mean no
leave_out = [""]  # not known, such as the blank cell: these encounters are not in the cohort

[cohort.findings]  # columns that say present, absent or unknown
spelling = "1/0/blank"  {mark}: or "P/A/M", "true/false/null", "yes/no/blank", or lists of your own

# Or, here and instead of the next section: columns = "others", for every column that no other key names.
[cohort.findings.columns]  # this table's column = the concept's code; the same code means the same at every site
{findings}
# [cohort.texts]                     # words for a code that is not built in
# my_code = "elevated body temperature"

# [cohort.categories.agegroup]       # a column of categories; the section is named by the concept's code
# column = "age_group"
# values = {{ child = "ls5", adult = "ge6ls65", elder = "ge64" }}   # spelling = name of the value
# unknown = [""]

# [cohort.grades.C0424781]           # a number, cut into named grades
# column = "temp_f"
# unit = "F"
# cuts = [100.4, 104.0]              # below 100.4; 100.4 to below 104; 104 and above
# names = ["I", "A", "P"]

# ---- Which encounters train, which choose the model, which test. An encounter keeps its part for good.
[split]
by = "hash"  # of the id; or "column", "date", "file"
test = 0.2
validation = 0.2

# ---- The federation's word for an embedding = this site's table of it.
[tables]
minilm = "builtin:minilm"  # ships with Sitebridge; knows the built-in concepts
# my_table = "tables/minilm.safetensors"  # for your own words: sitebridge embed build MODEL --site site.toml --out FILE

# ---- What a federation may ask of this site. No federation's file overrules it.
[policy]
# "source": train for others; the rest: as a target
strategies = {strategies}
max_rounds = 100  # of one run
max_epochs = 1000  # of one task
max_tasks = 5000  # of one run
min_cell = 11  # fewest patients behind any number that leaves
approval = true  # only federations that a data steward approved: sitebridge site approve FEDERATION.toml --by WHO
# federations = ["flu-2026"]  # names that may be approved; without it, any
# metrics = ["auroc"]  # that may leave; without it, all
# differencing = true  # tell of a cohort that differs by fewer patients than min_cell from one that was told of
# max_change = 10.0  # the largest change of the weights (L2 norm) that may leave; without it, no limit
# likeness = {{ epsilon = 1.0, delta = 1e-5 }}  # how like other sites' your patients are may be told, with noise

# [policy.privacy]  # training with noise, and a budget that outlives runs: docs/privacy.md
# epsilon = 3.0  # the most that all that leaves may cost each patient, at delta = 1e-5
"""
_EXAMPLE = """\
dry_cough = "C0850149"  {mark}: columns of your table
headache = "C0018681"
"""


def site_text(name: str, data: Path | None = None) -> str:
    """Give the site file of a new site.

    Parameters
    ----------
    data : Path, optional
        A table whose columns' names are listed, as comments to choose from. No row of it is read.

    Raises
    ------
    CohortError
        The table has no header that can be read, or its first line looks like a patient's.
    """
    columns = [] if data is None else _header(data)
    return _TEXT.format(
        strategies=json.dumps(list(ROLES)),
        name=name,
        mark=MARK,
        file='"encounters.csv"' if data is None else _quoted(str(data.absolute())),
        file_mark=MARK if data is None else "# as named to init",
        columns="".join([f"# The columns of {data.name if data else ''}:\n"] * bool(columns) + _listed(columns)),
        findings=_findings(columns),
    )


def _listed(columns: list[str]) -> list[str]:
    lines, line = [], "#  "
    for column in columns:
        if len(line) + len(_quoted(column)) > 110:
            lines.append(line)
            line = "#  "
        line += f" {_quoted(column)}"
    return [f"{line}\n" for line in [*lines, line]] if columns else []


def _findings(columns: list[str]) -> str:
    if not columns:
        return _EXAMPLE.format(mark=MARK)
    choose = f"{MARK}: take the # from the findings among these and give each its code\n"
    built_in = builtin_concepts()
    codes = {column: column if column in built_in else "CODE" for column in columns}
    return choose + "".join(f"# {_quoted(column)} = {_quoted(code)}\n" for column, code in codes.items())


def _header(data: Path) -> list[str]:
    """Read the names of a table's columns, but no patient: a file without a header has one in its first line."""
    from client.cohorts.reader import read_header  # Arrow takes its time

    columns = read_header(data)
    if any(not re.search(r"[^\W\d_]", column) for column in columns) or len(set(columns)) < len(columns):
        raise CohortError(
            f"{data.name}: the first line holds blanks, numbers or repetitions, so it may be a patient and not a "
            "header; give each column a name, or leave --data away"
        )
    if len(columns) > _MOST:
        raise CohortError(f"{data.name}: {len(columns):,} columns; at most {_MOST:,} are listed: leave --data away")
    return columns


def _quoted(text: str) -> str:
    """Give a TOML string: JSON's, but for one control character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
