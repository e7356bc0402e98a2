"""A small OMOP database, with odd rows of every kind; and the patients of the five forms in one.

Codes are those of SNOMED CT, LOINC, ICD-10-CM and UCUM. Concepts of 2,000,000,000 and more are a site's own.
"""

from __future__ import annotations

from datetime import date, datetime

from made_database import file_engine, write

FEVER, CHILLS, COUGH, TEMPERATURE, TEST, SYMPTOM = 437663, 4000001, 254761, 3020891, 3000002, 4000003
ICD_R50, ICD_R509, ICD_R5081, ICD_BOTH, ICD_FAMILY = 45000001, 45000002, 45000003, 45000004, 45000005
YES, NO, POSITIVE, NEGATIVE, CELSIUS, FAHRENHEIT, BELOW = 4188539, 4188540, 9191, 9189, 586323, 9289, 4171756
FEB, RULED_OUT, LAB_VISIT, OFFICE, OWN_VISIT = 2000000001, 2000000002, 32036, 581477, 2000000003
INPATIENT, OUTPATIENT, EMERGENCY, BOTH = 9201, 9202, 9203, 262

_CONCEPTS = [
    (0, "No matching concept", "None", "No matching concept"),
    (FEVER, "Fever", "SNOMED", "386661006"),
    (CHILLS, "Fever with chills", "SNOMED", "274640006"),
    (COUGH, "Cough", "SNOMED", "49727002"),
    (SYMPTOM, "Headache", "LOINC", "45706-7"),
    (TEMPERATURE, "Body temperature", "LOINC", "8310-5"),
    (TEST, "Influenza virus A Ag", "LOINC", "80382-5"),
    (4000004, "Transplantation", "SNOMED", "77465005"),
    (ICD_R50, "Fever of other and unknown origin", "ICD10CM", "R50"),
    (ICD_R509, "Fever, unspecified", "ICD10CM", "R50.9"),
    (ICD_R5081, "Fever presenting with conditions classified elsewhere", "ICD10CM", "R50.81"),
    (ICD_BOTH, "Fever and cough", "ICD10CM", "J99.8"),
    (ICD_FAMILY, "Family history of fever", "ICD10CM", "Z83.1"),
    (YES, "Yes", "SNOMED", "373066001"),
    (NO, "No", "SNOMED", "373067005"),
    (POSITIVE, "Positive", "SNOMED", "10828004"),
    (NEGATIVE, "Negative", "SNOMED", "260385009"),
    (CELSIUS, "degree Celsius", "UCUM", "Cel"),
    (FAHRENHEIT, "degree Fahrenheit", "UCUM", "[degF]"),
    (8876, "millimeter mercury column", "Other units", "mmHg"),
    (BELOW, "<", "SNOMED", "276139006"),
    (FEB, "felt hot at triage", "hill", "FEB"),
    (RULED_OUT, "Ruled out", "hill", "RO"),
    (INPATIENT, "Inpatient Visit", "Visit", "IP"),
    (OUTPATIENT, "Outpatient Visit", "Visit", "OP"),
    (EMERGENCY, "Emergency Room Visit", "Visit", "ER"),
    (BOTH, "Emergency Room and Inpatient Visit", "Visit", "ERIP"),
    (OFFICE, "Office Visit", "Visit", "OMOP4822459"),
    (LAB_VISIT, "Laboratory Visit", "Visit", "OMOP4822454"),
    (OWN_VISIT, "Visit by helicopter", "hill", "HELI"),
]
_BELOW = [(FEVER, CHILLS, 1), (OUTPATIENT, OFFICE, 1), (EMERGENCY, OWN_VISIT, 3), (OUTPATIENT, OWN_VISIT, 5)]
_STANDARD = [FEVER, CHILLS, COUGH, TEMPERATURE, TEST, INPATIENT, OUTPATIENT, EMERGENCY, BOTH, OFFICE, LAB_VISIT]
_MAPS = [(ICD_R50, FEVER), (ICD_R509, FEVER), (ICD_R5081, FEVER), (ICD_BOTH, FEVER), (ICD_BOTH, COUGH), (FEVER, FEVER)]
_RELATIONS = [(one, other, "Maps to", None) for one, other in _MAPS]
_RELATIONS += [(ICD_FAMILY, COUGH, "Maps to", None), (ICD_FAMILY, FEVER, "Maps to value", None)]
_RELATIONS += [(ICD_R509, COUGH, "Maps to", "D"), (FEVER, ICD_R509, "Mapped from", None)]

VOCABULARY = {
    "concept": [
        {"concept_id": one, "concept_name": name, "vocabulary_id": system, "concept_code": code}
        for one, name, system, code in _CONCEPTS
    ],
    "concept_relationship": [
        {"concept_id_1": one, "concept_id_2": other, "relationship_id": kind, "invalid_reason": invalid}
        for one, other, kind, invalid in _RELATIONS
    ],
    "concept_ancestor": [
        {"ancestor_concept_id": above, "descendant_concept_id": below, "min_levels_of_separation": levels}
        for above, below, levels in [*_BELOW, *((own, own, 0) for own in _STANDARD)]
    ],
}


def at(hour, minute=0, day=5):
    return datetime(2008, 3, day, hour, minute)


ONE, TWO, NOON, EVENING = at(13), at(14), at(12), at(18)


def visit(number, person, concept=EMERGENCY, start=NOON, end=EVENING, **more):
    return {
        "visit_occurrence_id": number,
        "person_id": person,
        "visit_concept_id": concept,
        "visit_start_date": start.date() if start else date(2008, 3, 5),
        "visit_start_datetime": start,
        "visit_end_date": end.date() if end else date(2008, 3, 6),
        "visit_end_datetime": end,
        "visit_source_value": None,
        **more,
    }


def condition(person, concept, source=0, value=None, time=ONE, status=0, **more):
    return {
        "person_id": person,
        "visit_occurrence_id": 1,
        "condition_concept_id": concept,
        "condition_start_date": time.date() if time else date(2008, 3, 5),
        "condition_start_datetime": time,
        "condition_source_concept_id": source,
        "condition_source_value": value,
        "condition_status_concept_id": status,
        "condition_status_source_value": None,
        **more,
    }


def _valued(stem):
    def made(person, concept, number=None, answer=0, unit=0, time=TWO, **more):
        return {
            "person_id": person,
            "visit_occurrence_id": 1,
            f"{stem}_concept_id": concept,
            f"{stem}_date": time.date() if time else date(2008, 3, 5),
            f"{stem}_datetime": time,
            f"{stem}_source_value": None,
            f"{stem}_source_concept_id": 0,
            "value_as_number": number,
            "value_as_concept_id": answer,
            "unit_concept_id": unit,
            "unit_source_value": None,
            "value_source_value": None,
            **more,
        }

    return made


measurement, observation = _valued("measurement"), _valued("observation")

PEOPLE = [
    {"person_id": 1, "year_of_birth": 1990, "month_of_birth": 1, "day_of_birth": 2, "birth_datetime": None},
    {"person_id": 2, "year_of_birth": 1980, "month_of_birth": None, "day_of_birth": None, "birth_datetime": None},
    {"person_id": 3, "year_of_birth": 1970, "month_of_birth": 5, "day_of_birth": None, "birth_datetime": None},
    {
        "person_id": 4,
        "year_of_birth": 1960,
        "month_of_birth": None,
        "day_of_birth": None,
        "birth_datetime": datetime(1960, 2, 3, 4, 5),
    },
]
VISITS = [
    visit(1, 1),
    visit(2, 2, INPATIENT, None, None),
    visit(3, 3, OFFICE, at(0), at(0, day=7)),
    visit(4, 4, BOTH),
    visit(5, 1, OWN_VISIT),
    visit(6, 1, LAB_VISIT),
    visit(7, 1, 0, visit_source_value="walk in"),
    visit(8, None),
    visit(9, 99),
    visit(10, 1, start=at(18), end=at(12)),
    visit(11, 1),
    visit(11, 1),
]
OPTIONAL_EVENTS = {
    "drug_exposure": ("drug", "drug_exposure_start"),
    "procedure_occurrence": ("procedure", "procedure"),
    "device_exposure": ("device", "device_exposure_start"),
}


def empty(stem, when):
    return {"person_id": int, "visit_occurrence_id": int, f"{stem}_concept_id": int, f"{when}_date": date}


def tables(**rows):
    """Give the tables of a database; those that are not named are empty or as above."""
    made = {"person": PEOPLE, "visit_occurrence": VISITS, **VOCABULARY}
    made |= {name: empty(stem, when) for name, (stem, when) in OPTIONAL_EVENTS.items()}
    made |= {"condition_occurrence": empty("condition", "condition_start")}
    made |= {stem: empty(stem, stem) for stem in ("observation", "measurement")}
    return made | rows


def as_omop(made, folder, kind="duckdb"):
    """Write the patients of the five forms (`made_patients.Hospital`) as a database; give the section."""
    codes = {row["concept_code"]: row["concept_id"] for row in VOCABULARY["concept"]}
    kinds = {"emergency": EMERGENCY, "inpatient": INPATIENT, "outpatient": OUTPATIENT}
    own = [("SORE", "sore all over"), ("RARE", "a rare code")]
    codes |= {code: 2000000010 + place for place, (code, _) in enumerate(own)}
    concepts = [
        {"concept_id": codes[code], "concept_name": name, "vocabulary_id": "hill", "concept_code": code}
        for code, name in own
    ]
    people = [
        {"person_id": p, "year_of_birth": b.year, "month_of_birth": b.month, "day_of_birth": b.day}
        for p, b in made.births.items()
    ]
    stays = [visit(stay.encounter, stay.patient, kinds[stay.kind], stay.start, stay.end) for stay in made.stays]
    conditions, observations, measurements = [], [], []
    for event in made.events:
        time, day = (event.time, {}) if isinstance(event.time, datetime) else (None, event.time)
        more = {"visit_occurrence_id": event.encounter}
        concept = codes[event.code]
        if event.system == "LOINC":
            more |= {} if time else {"observation_date": day, "measurement_date": day}
            answer = codes[event.answer] if event.answer else 0
            unit = codes_of_unit[event.unit] if event.unit else 0
            of = measurement if event.code != "45706-7" else observation
            into = measurements if event.code != "45706-7" else observations
            into.append(of(event.patient, concept, event.number, answer, unit, time, **more))
        else:
            more |= {} if time else {"condition_start_date": day}
            standard = FEVER if event.code == "R50.9" else 0 if event.system == "hill" else concept
            status = RULED_OUT if event.absent else 0
            conditions.append(condition(event.patient, standard, concept, event.code, time, status, **more))
    found = tables(
        person=people,
        visit_occurrence=stays,
        condition_occurrence=conditions,
        observation=observations,
        measurement=measurements,
    )
    found["concept"] = [*found["concept"], *concepts]
    write(file_engine(kind, folder), found)
    return f'kind = "omop"\nurl = "{kind}:///records.{kind}"'


codes_of_unit = {"Cel": CELSIUS, "[degF]": FAHRENHEIT}


def as_sql(stays, events, folder, kind="sqlite"):
    """Write the rows of the long form (`made_patients.rows`) as two tables; give the section."""
    write(file_engine(kind, folder), {"stays": stays, "happened": events})
    query = "SELECT h.*, h.time AS seen FROM happened AS h WHERE code <> ':none'"
    return (
        f'kind = "sql"\nurl = "{kind}:///records.{kind}"\nencounters = "stays"\nevents = "{query}"\n'
        'columns = { time = "seen" }'
    )
