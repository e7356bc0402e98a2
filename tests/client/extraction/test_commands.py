"""From a site file to an extracted table and to the cohort that the agent reads."""

from __future__ import annotations

import json
import os
import stat
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_site import COHORT, SITE, write_site

from client.check.cohort import look
from client.cohorts import read_cohort
from client.extraction import units
from client.extraction.output import read_origin
from client.site_file import load_site
from common.cli import main
from common.errors import ConfigError


def run(capsys, *arguments):
    """Run the command line; give its exit code, standard output and standard error."""
    code = 0
    try:
        main([*map(str, arguments)])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_extract_writes_what_the_agent_reads(tmp_path, capsys):
    path = write_site(tmp_path)
    code, out, err = run(capsys, "site", "extract", "--site", path)
    assert (code, err) == (0, "")
    assert "216 encounters in the cohort, 72 positive (33.3%)" in out
    assert f"written: {tmp_path / 'cohort.parquet'}" in out
    site = load_site(path)
    assert [concept.code for concept in site.concepts] == ["cough", ":HOT", "C0424781", "agegroup"]
    texts = {token.name: token.text for token in site.vocabulary}
    assert (texts["cough_P"], texts[":HOT_A"]) == ("coughing", "Not felt hot")
    cohort = read_cohort(site, "keep")
    assert len(cohort.test) == sum(n % 10 != 9 for n in range(160, 240))
    assert len(cohort.train) + len(cohort.validation) + len(cohort.test) == 216
    every = np.concatenate([part.tokens for part in (cohort.train, cohort.validation, cohort.test)])
    names = [cohort.vocabulary[number - 1].name for number in every[every > 0]]
    emergencies = [n for n in range(240) if n % 10 != 9]
    assert names.count("cough_P") == sum(n % 2 == 0 for n in emergencies)
    assert names.count("cough_A") == sum(n % 2 == 1 and n % 3 == 0 for n in emergencies)
    assert names.count(":HOT_P") == sum(n % 6 == 0 for n in emergencies)
    assert names.count("C0424781_A") == sum(n % 3 == 0 for n in emergencies)
    assert names.count("C0424781_I") == sum(n % 3 > 0 for n in emergencies)


def test_the_table(tmp_path, capsys):
    path = write_site(tmp_path)
    run(capsys, "site", "extract", "--site", path)
    table = pq.read_table(tmp_path / "cohort.parquet")
    assert table.column_names == ["encounter", "patient", "start", "label", "cough", ":HOT", "C0424781", "agegroup"]
    row = table.slice(0, 1).to_pylist()[0]
    assert row | {"start": str(row["start"])} == {
        "encounter": "e0000",
        "patient": "p0000",
        "start": "2008-01-01",
        "label": 1,
        "cough": "P",
        ":HOT": "P",
        "C0424781": 38.5,
        "agegroup": 107,
    }
    order = [(row["patient"], row["start"], row["encounter"]) for row in table.to_pylist()]
    assert order == sorted(order)
    origin = read_origin(tmp_path / "cohort.parquet")
    assert (origin.definition, origin.records, origin.local) == ("flu", "tables", {":HOT": "felt hot"})
    assert stat.S_IMODE(os.stat(tmp_path / "cohort.parquet").st_mode) == 0o600


def test_a_patient_s_encounters_are_drawn_together(tmp_path, capsys):
    split = '[split]\nby = "hash"\ntest = 0.3\n'
    path = write_site(tmp_path, cohort=COHORT[: COHORT.index("[split]")] + split)
    run(capsys, "site", "extract", "--site", path)
    site = load_site(path)
    assert site.file.split.by == "hash"
    table = pq.read_table(tmp_path / "cohort.parquet")
    from client.cohorts.reader import read_table
    from client.cohorts.splits import assign
    from common.errors import Problems

    parts = assign(site.file.split, read_table(site.files[0], ["patient"]), "patient", Problems(""))
    cohort = read_cohort(site)
    assert len(cohort.test) == (parts == 2).sum()
    of_patient: dict[str, set[int]] = {}
    for patient, part in zip(table["patient"].to_pylist(), parts, strict=True):
        of_patient.setdefault(patient, set()).add(int(part))
    assert all(len(found) == 1 for found in of_patient.values())
    assert len(set().union(*of_patient.values())) == 3


def test_site_check_says_that_the_cohort_is_there(tmp_path, capsys):
    path = write_site(tmp_path)
    run(capsys, "site", "extract", "--site", path)
    levels = [said[0] for said in look(load_site(path))]
    assert "fail" not in levels
    assert levels[0] == "ok"


def test_preview_shows_and_writes_nothing(tmp_path, capsys):
    cohort = COHORT.replace("local = { most = 5, at_least = 20 }\n", "")
    path = write_site(tmp_path, cohort=cohort)
    before = sorted(tmp_path.iterdir())
    code, out, _ = run(capsys, "site", "preview", "--site", path)
    assert code == 0
    assert sorted(tmp_path.iterdir()) == before
    assert "240 encounters read" in out
    assert "of another kind" in out
    assert "216 stay" in out
    assert ":HOT  felt hot" in out
    assert "events whose code system is not stated: only seen as local codes" in out
    _, out, _ = run(capsys, "site", "preview", "--site", path, "--json")
    shown = json.loads(out)
    assert (shown["encounters"], shown["positive"], shown["prevalence"]) == (216, 72, 0.3333)
    assert shown["steps"] == [{"step": "of another kind", "left_out": 24, "stayed": 216}]
    assert shown["unmapped"] == [{"code": ":HOT", "text": "felt hot", "encounters": 40}]
    assert shown["years"] == [{"year": 2008, "encounters": 216, "positive": 72}]
    cough = next(concept for concept in shown["concepts"] if concept["code"] == "cough")
    assert (cough["present"], cough["absent"], cough["unknown"]) == (120, 32, 64)


def test_the_folder_s_site_file_is_taken(tmp_path, capsys):
    write_site(tmp_path)
    assert run(capsys, "site", "extract", "--folder", tmp_path)[0] == 0
    assert (tmp_path / "cohort.parquet").exists()


def test_a_table_of_another_definition_is_refused(tmp_path, capsys):
    path = write_site(tmp_path)
    run(capsys, "site", "extract", "--site", path)
    (tmp_path / "flu.cohort.toml").write_text(COHORT.replace("72h", "48h"))
    with pytest.raises(ConfigError, match="made by another definition, this one before it was changed") as error:
        load_site(path)
    assert "extract it again: sitebridge site extract" in str(error.value)


def test_a_table_that_is_not_there_or_not_extracted(tmp_path):
    path = write_site(tmp_path)
    with pytest.raises(ConfigError, match=r"cohort.file: no such file: .*make it: sitebridge site extract"):
        load_site(path)
    (tmp_path / "cohort.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        load_site(path)
    import pyarrow as pa

    pq.write_table(pa.table({"label": [1]}), tmp_path / "cohort.parquet")
    with pytest.raises(ConfigError, match="not a table that Sitebridge extracted"):
        load_site(path)


WRONG_SITES = [
    ('file = "cohort.parquet"', 'file = "cohort.csv"', "expected a name that ends in .parquet"),
    ('file = "cohort.parquet"', 'file = "c.parquet"\nid = "x"', "id is not read beside cohort.definition"),
    ("[tables]", '[split]\nby = "hash"\ntest = 0.2\n[tables]', "split is not read beside cohort.definition"),
    ('kind = "tables"', 'kind = "table"', "kind must be one of tables, sql, omop, fhir, meds. Got 'table' instead"),
    ('events = "events.csv"', 'event = "events.csv"', "unknown key records.event"),
    ('[records]\nkind = "tables"\nencounters = "encounters.csv"\nevents = "events.csv"', "", "key records is missing"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG_SITES)
def test_a_wrong_site_file(tmp_path, capsys, old, new, words):
    assert old in SITE
    path = write_site(tmp_path, SITE.replace(old, new))
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert code == 1
    assert words in err
    assert err.startswith("Error: ")


def test_the_agent_needs_no_library_of_the_records(tmp_path, capsys, monkeypatch):
    path = write_site(tmp_path)
    run(capsys, "site", "extract", "--site", path)
    for name in ("ucumvert", "sqlalchemy", "client.records.omop"):
        monkeypatch.setitem(sys.modules, name, None)
    units._registry.cache_clear()
    (tmp_path / "site.toml").write_text(SITE.replace('kind = "tables"', 'kind = "omop"'))
    assert load_site(path).name == "hill"


def test_units_without_their_library_are_an_error(tmp_path, capsys, monkeypatch):
    path = write_site(tmp_path)
    monkeypatch.setitem(sys.modules, "ucumvert", None)
    for cached in (units._registry, units.conversion):
        cached.cache_clear()
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert (code, "units need the extra: pip install 'sitebridge[records]'" in err) == (1, True)


def test_records_without_a_definition_are_refused(tmp_path):
    path = write_site(tmp_path, SITE.replace('definition = "flu.cohort.toml"', 'id = "encounter"'))
    with pytest.raises(ConfigError, match=r"\[records\] is read only with cohort.definition"):
        load_site(path)


def test_a_value_without_words_is_an_error_before_anything_is_read(tmp_path, capsys):
    path = write_site(tmp_path, cohort=COHORT.replace('names = ["I", "A", "P"]', 'names = ["I", "A", "hot"]'))
    (tmp_path / "events.csv").unlink()
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert (code, "no sentence for hot" in err) == (1, True)


def test_nobody_left_is_an_error_that_says_why(tmp_path, capsys):
    path = write_site(tmp_path, cohort=COHORT.replace('"emergency"', '"virtual"'))
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert code == 1
    assert "flu: none of 240 encounters is left (of another kind: 240)" in err
    assert not (tmp_path / "cohort.parquet").exists()
    assert run(capsys, "site", "preview", "--site", path)[0] == 0


def test_a_failure_leaves_the_old_table(tmp_path, capsys):
    path = write_site(tmp_path)
    run(capsys, "site", "extract", "--site", path)
    before = (tmp_path / "cohort.parquet").read_bytes()
    events = (tmp_path / "events.csv").read_text()
    (tmp_path / "events.csv").write_text(events[: len(events) // 2])
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert (code, "events.csv" in err) == (1, True)
    assert (tmp_path / "cohort.parquet").read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {
        "cohort.parquet", "encounters.csv", "events.csv", "flu.cohort.toml", "site.toml",
    }  # fmt: skip


def test_records_without_an_encounter_say_so(tmp_path, capsys):
    path = write_site(tmp_path, encounters=0)
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert (code, err) == (1, "Error: flu: the records hold no encounter\n")


def test_small_counts_are_not_in_the_error_either(tmp_path, capsys):
    path = write_site(tmp_path, cohort=COHORT.replace('"emergency"', '"inpatient"'), encounters=100)
    (tmp_path / "events.csv").write_text("patient,encounter,time,code\np0004,e0009,2008-01-10T10:00,LOINC 80382-5\n")
    code, out, err = run(capsys, "site", "extract", "--site", path)
    assert (code, "(of another kind; without a label: 100 with the above)" in err) == (1, True)
    assert "100 encounters read" in out


def test_a_table_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path, capsys):
    path = write_site(tmp_path)
    (tmp_path / "cohort.parquet").mkdir()
    before = sorted(tmp_path.iterdir())
    code, _, err = run(capsys, "site", "extract", "--site", path)
    assert (code, "Is a directory" in err) == (1, True)
    assert sorted(tmp_path.iterdir()) == before
