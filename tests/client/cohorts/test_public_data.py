"""Real and published tables, counted by pandas beside: set SITEBRIDGE_DATA to the folder that holds them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest

from client.cohorts import Cohort, Split, read_cohort
from client.site_file import load_site

FLU_LAB = """\
name = "flu-lab"
[cohort]
file = "${SITEBRIDGE_DATA}/flu-lab/target_train_500.csv"
test_file = "${SITEBRIDGE_DATA}/flu-lab/target_test_10000.csv"
[cohort.label]
column = "diagnosis"
positive = ["I"]
[cohort.findings]
spelling = "P/A/M"
columns = "others"
[cohort.categories.agegroup]
column = "agegroup"
values = ["ls5", "ge6ls65", "ge64"]
[cohort.categories.C0424781]
column = "C0424781"
values = ["P", "A", "I"]
unknown = ["M"]
[split]
by = "file"
validation = 0.2
[tables]
minilm = "builtin:minilm"
"""

HK_CLINICS = """\
name = "hk-clinics"
[cohort]
file = "${SITEBRIDGE_DATA}/hk-clinics/hk_2007_2008.csv"
[cohort.where]
clinic = ["qya", "sth", "sph"]
[cohort.label]
column = "flu_rapid"
positive = ["1.0"]
negative = ["0.0"]
leave_out = [""]
[cohort.findings]
spelling = "1/0/blank"
columns = { self_fever = "fever", headache = "C0018681", cough = "cough", chills = "chills", "pcr.H1" = "pcr_h1" }
[cohort.grades.agegroup]
column = "age"
unit = "years"
cuts = [6, 65]
names = ["ls5", "ge6ls65", "ge64"]
[cohort.grades.C0424781]
column = "bodytemp"
unit = "C"
cuts = [38, 40]
names = ["I", "A", "P"]
[split]
by = "column"
column = "study"
test = ["2008_main"]
validation = 0.2
"""


@pytest.fixture
def data() -> Path:
    folder = Path(os.environ.get("SITEBRIDGE_DATA", "../shared/data"))
    if not (folder / "flu-lab").is_dir():
        pytest.skip("public data are not here; set SITEBRIDGE_DATA to their folder")
    return folder.resolve()


def read(text: str, folder: Path, data: Path, monkeypatch, unknown: str = "keep") -> Cohort:
    monkeypatch.setenv("SITEBRIDGE_DATA", str(data))
    (folder / "site.toml").write_text(text)
    return read_cohort(load_site(folder / "site.toml"), unknown)


def counts(cohort: Cohort, *splits: Split) -> dict[str, int]:
    """Count every token."""
    tokens = np.concatenate([split.tokens.ravel() for split in splits])
    found = np.bincount(tokens, minlength=len(cohort.vocabulary) + 1)[1:]
    return {token.name: int(number) for token, number in zip(cohort.vocabulary, found, strict=True)}


def test_flu_lab(tmp_path, data, monkeypatch):
    cohort = read(FLU_LAB, tmp_path, data, monkeypatch)
    train, test = (
        pd.read_csv(data / "flu-lab" / f"target_{name}.csv", dtype=str) for name in ("train_500", "test_10000")
    )
    assert len(cohort.train) + len(cohort.validation) == len(train) == 500
    assert 70 < len(cohort.validation) < 130
    npt.assert_array_equal(cohort.test.labels, (test["diagnosis"] == "I").astype(int))
    assert cohort.test.tokens.shape == (10_000, 63)
    found = counts(cohort, cohort.test)
    assert sum(found.values()) == 63 * 10_000
    for column in test.columns.drop("diagnosis"):
        for value, number in test[column].value_counts().items():
            assert found[f"{column}_{value}"] == number


def test_hk_clinics(tmp_path, data, monkeypatch):
    cohort = read(HK_CLINICS, tmp_path, data, monkeypatch)
    table = pd.read_csv(data / "hk-clinics" / "hk_2007_2008.csv")
    table = table[table["clinic"].isin(["qya", "sth", "sph"]) & table["flu_rapid"].notna()]
    early, late = table[table["study"] == "2007_pilot"], table[table["study"] == "2008_main"]
    assert len(cohort.train) + len(cohort.validation) == len(early)
    npt.assert_array_equal(cohort.test.labels, late["flu_rapid"].astype(int))
    found = counts(cohort, cohort.train, cohort.validation, cohort.test)
    assert found["fever_P"] == (table["self_fever"] == 1).sum()
    assert found["C0018681_A"] == (table["headache"] == 0).sum()
    assert found["chills_M"] == table["chills"].isna().sum() >= len(late)  # not asked in 2008
    assert found["pcr_h1_M"] == len(table)
    assert found["agegroup_ls5"] == (table["age"] < 6).sum()
    assert found["agegroup_ge64"] == (table["age"] >= 65).sum()
    assert found["C0424781_I"] == (table["bodytemp"] < 38).sum()
    assert found["C0424781_A"] == table["bodytemp"].between(38, 40, inclusive="left").sum()
    assert found["C0424781_P"] == (table["bodytemp"] >= 40).sum()
    assert found["C0424781_M"] == table["bodytemp"].isna().sum() > 0
