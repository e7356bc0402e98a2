"""Site files of the built-in hospitals, in the words that each hospital uses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from client.hospitals.figures import TEMPERATURE, read_figures
from common.concepts import UNKNOWN, Concept, Wording, builtin_concepts
from common.strategies import ROLES

AGE = "agegroup"

_ALLEGHENY = """\
# Built-in hospital: drawn, no patient. It writes P, A or M (present, absent, not mentioned) and groups ages itself.
name = "allegheny"

[cohort]
file = "allegheny.csv"
id = "encounter_id"

[cohort.label]
column = "influenza"
positive = ["1"]
negative = ["0"]

[cohort.findings]
spelling = "P/A/M"
columns = "others"  # every column that this file does not name is a finding

[cohort.categories.agegroup]
column = "agegroup"
values = {ages}

[cohort.categories.C0424781]
column = "C0424781"
values = {grades}
unknown = ["M"]
{common}"""

_SALT_LAKE = """\
# Built-in hospital: drawn, no patient. It writes 1, 0 or nothing, ages in years and temperatures in Fahrenheit.
name = "salt-lake"

[cohort]
file = "salt-lake.csv"
id = "encounter_id"

[cohort.label]
column = "influenza"
positive = ["1"]
negative = ["0"]

[cohort.findings]
spelling = "1/0/blank"

[cohort.findings.columns]  # this hospital's column = the concept
{columns}{texts}
[cohort.grades.{age_code}]
column = "age_years"
unit = "years"
cuts = [6, 65]
names = {age_names}
{age_texts}
[cohort.grades.{temperature_code}]
column = "temp_f"
unit = "F"
cuts = [100.4, 104.0]  # 38 and 40 C
names = {temperature_names}
{temperature_texts}{common}"""

_COMMON = """
[split]
by = "column"
column = "season"
test = [{last}]
validation = 0.2  # a fifth of the earlier seasons

[tables]
minilm = "builtin:minilm"

[policy]
strategies = {strategies}
max_rounds = 100
max_epochs = 1000
min_cell = 11
"""


def allegheny() -> str:
    """Give the site file of Allegheny: the paper's codes, and texts that ship with Sitebridge."""
    concepts = builtin_concepts()
    return _ALLEGHENY.format(
        ages=_inline({name: name for name in concepts[AGE].values}),
        grades=_inline({name: name for name in concepts[TEMPERATURE].values if name != UNKNOWN}),
        common=_common(),
    )


def salt_lake(wording: Wording) -> str:
    """Give the site file of Salt Lake: "paper" maps its columns to the paper's codes, "own" to codes of its own."""
    concepts = builtin_concepts(wording)
    own = wording == "own"
    age, temperature = concepts[AGE], concepts[TEMPERATURE]
    columns = {column: concepts[code].code for code, column in salt_lake_columns().items()}
    texts = {concept.code: concept.text for concept in concepts.values()}
    return _SALT_LAKE.format(
        columns=_lines(columns),
        texts=f"\n[cohort.texts]\n{_lines(texts)}" if own else "",
        age_code=age.code,
        age_names=_rising(AGE, age, read_figures()["age"]["groups"]),
        age_texts=f"texts = {_inline(age.values)}\n" if own else "",
        temperature_code=temperature.code,
        temperature_names=_rising(TEMPERATURE, temperature, ("I", "A", "P")),
        temperature_texts=f"texts = {_inline(temperature.values)}\n" if own else "",
        common=_common(),
    )


def salt_lake_columns() -> dict[str, str]:
    """Column of Salt Lake's table for each finding, by the paper's code; temperature is not a finding there."""
    own = builtin_concepts("own")
    return {code: own[code].code for code in finding_codes()}


def finding_codes() -> list[str]:
    """Give the paper's codes of the 69 findings, in the order of the columns."""
    return [finding["code"] for finding in read_figures()["findings"] if finding["code"] != TEMPERATURE]


def _rising(code: str, concept: Concept, names: Sequence[str]) -> str:
    """Value names of `concept` from low to high, where `names` gives that order in the paper's names."""
    said = dict(zip(builtin_concepts()[code].values, concept.values, strict=True))  # both wordings have one order
    return json.dumps([said[name] for name in names])


def _common() -> str:
    return _COMMON.format(last=json.dumps(read_figures()["seasons"][-1]), strategies=json.dumps(list(ROLES)))


def _lines(table: Mapping[str, str]) -> str:
    return "".join(f"{key} = {_quoted(value)}\n" for key, value in table.items())


def _inline(table: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {_quoted(value)}" for key, value in table.items()) + " }"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string without control characters is a TOML string
