"""A site with records in two CSV files, made by rule: every number can be worked out."""

from __future__ import annotations

from pathlib import Path

SITE = """\
name = "hill"
[records]
kind = "tables"
encounters = "encounters.csv"
events = "events.csv"
[cohort]
definition = "flu.cohort.toml"
file = "cohort.parquet"
[tables]
minilm = "builtin:minilm"
"""
COHORT = """\
name = "flu"
[index]
kinds = ["emergency"]
[window]
before = "24h"
after = "72h"
[sets]
test = { codes = ["LOINC 80382-5"] }
cough = { codes = ["SNOMED 49727002"] }
temperature = { codes = ["LOINC 8310-5"] }
[label]
set = "test"
positive = ["Positive"]
negative = ["Negative"]
[findings]
sets = { cough = "cough" }
local = { most = 5, at_least = 20 }
[grades.C0424781]
set = "temperature"
unit = "Cel"
cuts = [38.0, 40.0]
names = ["I", "A", "P"]
[ages.agegroup]
cuts = [6, 65]
names = ["ls5", "ge6ls65", "ge64"]
[texts]
cough = "coughing"
[split]
by = "date"
test_from = 2008-05-01
"""


def write_site(folder: Path, site: str = SITE, cohort: str = COHORT, encounters: int = 240) -> Path:
    """Write site file, definition and records: two encounters a patient, a day apart; every third is positive.

    Encounter n: coughs if n is even (said not to, if n is odd and positive); has 38.5 Celsius if positive, else 98.6
    Fahrenheit; every second positive has the local code, felt hot. Every tenth is a stay, not an emergency.
    """
    stays = ["encounter,patient,start,kind,birth"]
    happened = ["patient,encounter,time,code,text,absent,number,unit,answer"]
    for n in range(encounters):
        month, day, patient = 1 + n // 40, 1 + n % 20, f"p{n // 2:04d}"
        kind = "inpatient" if n % 10 == 9 else "emergency"
        stays.append(f"e{n:04d},{patient},2008-{month:02d}-{day:02d}T10:00,{kind},{1900 + n % 100}-06-15")
        at = f"{patient},e{n:04d},2008-{month:02d}-{day:02d}T11:00"
        positive = n % 3 == 0
        happened.append(f"{at},LOINC 80382-5,Influenza test,,,,{'Positive' if positive else 'Negative'}")
        if n % 2 == 0 or positive:
            happened.append(f"{at},SNOMED 49727002,Cough,{'true' if n % 2 else ''},,,")
        happened.append(f"{at},LOINC 8310-5,Body temperature,,{'38.5,Cel' if positive else '98.6,[degF]'},")
        if n % 6 == 0:
            happened.append(f"{at},HOT,felt hot,,,,")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encounters.csv").write_text("\n".join(stays) + "\n")
    (folder / "events.csv").write_text("\n".join(happened) + "\n")
    (folder / "flu.cohort.toml").write_text(cohort)
    (folder / "site.toml").write_text(site)
    return folder / "site.toml"
