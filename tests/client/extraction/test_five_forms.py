"""The same patients, whatever form their records come in, give the same cohort."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_patients import DEFINITION, FORMS, hospital

from client.cohorts import read_cohort
from client.extraction.cohort import extract
from client.extraction.definition import read_definition
from client.extraction.output import read_origin
from client.extraction.site import read_source
from client.records.section import open_records
from client.site_file import load_site
from common.cli import sitebridge

SITE = 'name = "hill"\n[cohort]\ndefinition = "five.cohort.toml"\nfile = "cohort.parquet"\n[records]\n'


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Extract every form by one definition; give each form's folder."""
    made, folders = hospital(), {}
    for form, write in FORMS.items():
        folder = tmp_path_factory.mktemp(form)
        (folder / "five.cohort.toml").write_text(DEFINITION)
        (folder / "site.toml").write_text(SITE + write(made, folder) + "\n")
        sitebridge(["site", "extract", "--site", str(folder / "site.toml")], standalone_mode=False)
        folders[form] = folder
    return folders


def table_of(folder):
    return pq.read_table(folder / "cohort.parquet")


def test_the_cohort_has_something_of_everything(extracted):
    table = table_of(extracted["csv"])
    assert 150 < table.num_rows < 700
    assert table.column_names[4:] == ["cough", "fever", "headache", "hill:FEB", "hill:SORE", "C0424781", "agegroup"]
    counts = {name: set(table[name].to_pylist()) for name in ("label", "cough", "fever", "headache", "hill:FEB")}
    assert counts["label"] == {0, 1}
    assert counts["headache"] == {"P", "A", None}
    assert counts["cough"] == counts["fever"] == {"P", None}
    assert 37.0 < np.nanmean(table["C0424781"].to_pandas()) < 41.0
    decisions = read_origin(extracted["csv"] / "cohort.parquet").decisions
    assert decisions["findings recorded after the label's time only: left out"] > 20


@pytest.mark.parametrize("form", [form for form in FORMS if form != "csv"])
def test_every_form_gives_the_same_table(extracted, form):
    assert table_of(extracted[form]).equals(table_of(extracted["csv"]))
    first, other = (read_origin(extracted[name] / "cohort.parquet") for name in ("csv", form))
    assert first.local == other.local == {"hill:FEB": "felt hot at triage", "hill:SORE": "sore all over"}


@pytest.mark.parametrize("form", FORMS)
def test_asking_for_the_sets_codes_alone_changes_nothing(extracted, form):
    """Without local concepts, records may leave events of other codes away."""
    folder = extracted[form]
    (folder / "sets.toml").write_text(DEFINITION.replace("local = { most = 2, at_least = 20 }\n", ""))
    _, _, section = read_source(folder / "site.toml")
    found = extract(read_definition(folder / "sets.toml"), open_records(section, folder))
    table = table_of(extracted["csv"])
    assert found.chosen.encounter.equals(table["encounter"].combine_chunks())
    for code in ("cough", "fever", "headache"):
        said = [{0: "P", 1: "A", -1: None}[value] for value in found.findings[code].tolist()]
        assert said == table[code].to_pylist()
    assert np.array_equal(found.grades["C0424781"], table["C0424781"].to_numpy(), equal_nan=True)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "csv"])
def test_every_form_gives_the_same_cohort(extracted, form):
    first, other = (read_cohort(load_site(extracted[name] / "site.toml"), "keep") for name in ("csv", form))
    assert first.vocabulary == other.vocabulary
    for part in ("train", "validation", "test"):
        one, two = getattr(first, part), getattr(other, part)
        assert len(one) > 20
        assert np.array_equal(one.tokens, two.tokens)
        assert np.array_equal(one.labels, two.labels)
