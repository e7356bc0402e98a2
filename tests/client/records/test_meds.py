from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import meds
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.records import meds as reader
from client.records import meds_files
from client.records.contract import ENCOUNTERS, EVENTS, Coding
from client.records.meds import MedsRecords, MedsSection, open_records
from client.records.meds_encounters import name_of
from common.errors import CohortError, ConfigError
from common.toml import check

Json = dict[str, Any]

NOON = datetime(2009, 3, 5, 12)
STARTS = {"VISIT//ER": "emergency", "VISIT//IP": "inpatient"}
IDLE = {"keys of encounters.starts that no row has": 1}
COLUMNS = {
    "subject_id": pa.int64(),
    "time": pa.timestamp("us"),
    "code": pa.string(),
    "numeric_value": pa.float32(),
    "text_value": pa.large_string(),
    "visit_id": pa.int64(),
    "unit": pa.string(),
}


def row(code: str | None, hours: float | None = 0, subject: int | None = 1, **more: Any) -> Json:
    time = None if hours is None else NOON + timedelta(hours=hours)
    return dict.fromkeys(COLUMNS) | {"subject_id": subject, "time": time, "code": code} | more


def table(rows: list[Json], **types: pa.DataType) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema((COLUMNS | types).items()))


def write(folder: Path, rows: list[Json], name: str = "train/0.parquet") -> Path:
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(meds.DataSchema.align(table(rows)), path)  # as the standard has it
    return folder


def write_codes(folder: Path, **codes: tuple[str | None, list[str] | None]) -> None:
    texts, parents = zip(*codes.values(), strict=True)
    columns = {"code": list(codes), "description": texts, "parent_codes": pa.array(parents, pa.list_(pa.string()))}
    (folder / "metadata").mkdir(exist_ok=True)
    pq.write_table(meds.CodeMetadataSchema.align(pa.table(columns)), folder / meds.code_metadata_filepath)


def opened(folder: Path, column: str | None = "visit_id", **keys: Any) -> MedsRecords:
    marks = {"starts": STARTS, "end": ["VISIT_END"], "column": column}
    content = {"kind": "meds", "folder": str(folder), "encounters": marks} | keys
    return open_records(check(content, MedsSection, "site.toml"), folder)


def encounters(records: MedsRecords) -> list[Json]:
    rows: list[Json] = pa.Table.from_batches(records.encounters(), ENCOUNTERS).to_pylist()
    return rows


def events(records: MedsRecords, wanted: frozenset[Coding] | None = None) -> list[Json]:
    rows: list[Json] = pa.Table.from_batches(records.events(wanted), EVENTS).to_pylist()
    return rows


def one(folder: Path, **more: Any) -> Json:
    (event,) = events(opened(write(folder, [row("LOINC//8310-5", **more)])))
    return event


def test_encounters_that_a_column_names(tmp_path: Path) -> None:
    rows = [
        row("MEDS_BIRTH", -500_000),
        row("VISIT//ER", visit_id=77),
        row("VISIT//IP", 2, visit_id=78),
        row("VISIT_END", 3, visit_id=77),
        row("VISIT_END", 50, visit_id=78),
        row("VISIT//ER", 60),
        row("VISIT//ER", None, subject=2, visit_id=79),
    ]
    records = opened(write(tmp_path, rows))
    birth = NOON - timedelta(hours=500_000)
    assert [tuple(found.values()) for found in encounters(records)] == [
        ("77", "1", NOON, NOON + timedelta(hours=3), "emergency", birth),
        ("78", "1", NOON + timedelta(hours=2), NOON + timedelta(hours=50), "inpatient", birth),
        (None, "1", NOON + timedelta(hours=60), None, "emergency", birth),
        ("79", "2", None, None, "emergency", None),
    ]
    assert events(records) == []
    assert records.account.counts == {}


def test_encounters_without_a_column(tmp_path: Path) -> None:
    rows = [
        row("VISIT//ER"),
        row("VISIT//ER"),  # twice
        row("VISIT_END", 5),
        row("VISIT_END", 6),
        row("VISIT//ER", 10),
        row("VISIT//IP", 12),
        row("VISIT_END", 100),
        row("VISIT//IP", 100),
        row("VISIT_END", 1, subject=2),
        row("VISIT//ER", 2, subject=2),
    ]
    random.Random(1).shuffle(rows)
    records = opened(write(tmp_path, rows), column=None)
    found = [(e["encounter"], e["start"], e["end"]) for e in encounters(records)]
    assert found == [
        ("1-1", NOON, NOON + timedelta(hours=5)),
        ("1-2", NOON + timedelta(hours=10), None),  # another started before an end
        ("1-3", NOON + timedelta(hours=12), NOON + timedelta(hours=100)),
        ("1-4", NOON + timedelta(hours=100), NOON + timedelta(hours=100)),
        ("2-1", NOON + timedelta(hours=2), None),
    ]
    assert records.account.counts == {"encounters written twice: taken once": 1}


def test_the_last_of_several_ends_is_taken_and_counted(tmp_path: Path) -> None:
    rows = [row("VISIT//ER", visit_id=7), *(row("VISIT_END", hours, visit_id=7) for hours in (5, 9, 9))]
    records = opened(write(tmp_path, rows))
    assert [found["end"] for found in encounters(records)] == [NOON + timedelta(hours=9)]
    assert records.account.counts == {"encounters with more than one end: the last is taken": 1} | IDLE


def test_a_star_stands_for_what_follows_and_the_longest_counts(tmp_path: Path) -> None:
    rows = [row(code, visit_id=i) for i, code in enumerate(["ADMIT//EW//HOME", "ADMIT//ELECTIVE", "ADMIT"])]
    marks = {"starts": {"ADMIT//*": "inpatient", "ADMIT//EW*": "emergency", "BED//*": "bed"}, "column": "visit_id"}
    records = opened(write(tmp_path, rows), encounters=marks)
    assert [found["kind"] for found in encounters(records)] == ["emergency", "inpatient"]
    assert records.account.counts == {"keys of encounters.starts that no row has": 1}
    assert len(events(records)) == 1


def test_an_event(tmp_path: Path) -> None:
    more = {"numeric_value": 38.9, "unit": "Cel", "visit_id": 77}
    records = opened(write(tmp_path, [row("LOINC//8310-5", **more)]))
    assert events(records) == [
        {
            "patient": "1",
            "encounter": "77",
            "time": NOON,
            "until": NOON,
            "entry": 0,
            "absent": False,
            "number": 38.9,  # not 38.900001525878906
            "unit": "Cel",
            "answer": None,
        }
    ]


@pytest.mark.parametrize(
    ("text", "absent", "answer"),
    [
        ("SNOMED//260385009", True, "SNOMED 260385009"),
        ("SNOMED/10828004", False, "SNOMED 10828004"),
        ("SNOMED 260385009", True, "SNOMED 260385009"),
        (" Not detected ", True, "Not detected"),
        ("Positive", False, "Positive"),
        ("  ", False, None),
        (None, False, None),
    ],
)
def test_answers(tmp_path: Path, text: str | None, absent: bool, answer: str | None) -> None:
    event = one(tmp_path, text_value=text)
    assert (event["absent"], event["answer"]) == (absent, answer)


def test_numbers_that_are_not_finite_and_units_without_a_number(tmp_path: Path) -> None:
    rows = [row("LOINC//8310-5", numeric_value=value, unit="Cel") for value in (float("nan"), float("inf"), None, 1.5)]
    records = opened(write(tmp_path, rows))
    assert [(event["number"], event["unit"]) for event in events(records)] == [(None, None)] * 3 + [(1.5, "Cel")]
    assert records.account.counts == {"numbers that are not finite: taken as none": 2}


def test_declared_units_and_columns(tmp_path: Path) -> None:
    rows = [row("LOINC//8310-5", numeric_value=1.0), row("LOINC//8310-5", numeric_value=1.0, unit="K")]
    path = write(tmp_path, rows) / "data/train/0.parquet"
    assert [e["unit"] for e in events(opened(tmp_path, units={"LOINC//8310-5": "Cel"}))] == ["Cel", "K"]
    pq.write_table(table(rows).rename_columns([*list(COLUMNS)[:-1], "uom"]), path)
    assert [e["unit"] for e in events(opened(tmp_path, unit="uom"))] == [None, "K"]
    assert [e["unit"] for e in events(opened(tmp_path))] == [None, None]
    with pytest.raises(CohortError, match=r'0\.parquet: no column "units", which the site file names'):
        opened(tmp_path, unit="units")


def test_codes(tmp_path: Path) -> None:
    codes = [
        "ICD10CM//R50.9",
        "loinc/8310-5",
        "DX//ICD//10//R509",
        "DX//ICD//9//7806",
        "LAB//X//mg",
        "SNOMED//",
        "GENDER",
    ]
    systems = {"DX": "OWN", "DX//ICD//10": "ICD10CM", "DX//ICD//9": "ICD9CM"}
    write(tmp_path, [row(code) for code in codes] + [row("MEDS_DEATH")])
    write_codes(tmp_path, **{"LAB//X//mg": ("X in blood", None), "GENDER": (None, None)})
    records = opened(tmp_path, systems=systems)
    assert len(events(records)) == 7
    assert [(entry.codings[0], entry.text) for entry in records.codebook.entries] == [
        (Coding("ICD10CM", "R50.9"), ""),
        (Coding("LOINC", "8310-5"), ""),
        (Coding("ICD10CM", "R509"), ""),
        (Coding("ICD9CM", "7806"), ""),
        (Coding("", "LAB//X//mg"), "X in blood"),
        (Coding("", "SNOMED//"), ""),
        (Coding("", "GENDER"), ""),
    ]
    assert records.account.counts == {"events whose code system is not stated: only seen as local codes": 3}


def test_events_of_other_codes_are_left_away_but_not_those_of_icd(tmp_path: Path) -> None:
    records = opened(
        write(tmp_path, [row("LAB//X"), row("ICD10CM//R50.9"), row("LOINC//1"), row("LOINC//2"), row("LAB//X")])
    )
    found = events(records, frozenset({Coding("LOINC", "2"), Coding("", "LAB//X")}))
    entries = [records.codebook.entries[event["entry"]].codings[0].code for event in found]
    assert entries == ["LAB//X", "R50.9", "2", "LAB//X"]


def test_expand_by_parent_codes(tmp_path: Path) -> None:
    write(tmp_path, [row("VISIT//ER")])
    write_codes(
        tmp_path,
        **{
            "LAB//A": (None, ["SNOMED/2"]),
            "SNOMED/2": (None, ["SNOMED/1", "SNOMED/3"]),
            "SNOMED//3": (None, ["SNOMED//1", "SNOMED//2"]),  # a ring
            "LAB//B": (None, ["ICD10CM/R50"]),
        },
    )
    asked = frozenset({Coding("SNOMED", "1"), Coding("ICD10CM", "R50"), Coding("LOINC", "9")})
    expansion = opened(tmp_path).expand(asked)
    below = {Coding("SNOMED", code) for code in "123"} | {Coding("", "LAB//A")}
    assert expansion.descendants[Coding("SNOMED", "1")] == below
    assert expansion.descendants[Coding("ICD10CM", "R50")] == {Coding("ICD10CM", "R50"), Coding("", "LAB//B")}
    assert expansion.descendants[Coding("LOINC", "9")] == {Coding("LOINC", "9")}
    assert expansion.flat == {"ICD10CM", "LOINC"}
    assert expansion.unknown == frozenset()


def test_midnight(tmp_path: Path) -> None:
    write(tmp_path, [row("LOINC//1", -12), row("LOINC//1"), row("LOINC//1", None)])
    midnight, day = NOON - timedelta(hours=12), timedelta(days=1, microseconds=-1)
    assert [event["until"] for event in events(opened(tmp_path))] == [midnight, NOON, None]
    found = events(opened(tmp_path, midnight="day"))
    assert [event["until"] for event in found] == [midnight + day, NOON, None]
    assert [event["time"] for event in found] == [midnight, NOON, None]


def test_batches_shards_and_row_groups_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(code, hour, subject, visit_id=10 * subject) for subject in range(9) for hour, code in
            enumerate(["MEDS_BIRTH", "VISIT//ER", "LOINC//1", "LAB//2", "VISIT_END"])]  # fmt: skip
    whole = opened(write(tmp_path / "whole", rows))
    for subject in range(9):
        write(tmp_path / "parts", rows[5 * subject : 5 * subject + 5], f"{'ab'[subject % 2]}/{subject}.parquet")
    expected = encounters(whole), events(whole)
    monkeypatch.setattr(meds_files, "BATCH", 2)
    monkeypatch.setattr(reader, "BATCH", 2)
    parts = opened(tmp_path / "parts")
    found = encounters(parts), events(parts)
    for some, all_of_them in zip(found, expected, strict=True):
        assert sorted(some, key=str) == sorted(all_of_them, key=str)
    assert len(found[0]) == 9
    assert len(found[1]) == 18


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.int32()])
def test_names_of_encounters_are_whole_numbers_or_text(tmp_path: Path, kind: pa.DataType) -> None:
    write(tmp_path, [])
    rows = [row("VISIT//ER", visit_id="77" if kind == pa.string() else 77), row("LOINC//1")]
    made = table(rows, visit_id=kind)
    if kind == pa.float64():  # as pandas writes a column with gaps
        made = made.set_column(5, "visit_id", pa.array([77.0, float("nan")]))
    pq.write_table(made, tmp_path / "data/train/0.parquet")
    assert [found["encounter"] for found in encounters(opened(tmp_path))] == ["77"]
    assert [event["encounter"] for event in events(opened(tmp_path))] == [None]


def test_names_of_encounters_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [])
    pq.write_table(table([row("VISIT//ER", visit_id=7.5)], visit_id=pa.float64()), tmp_path / "data/train/0.parquet")
    with pytest.raises(CohortError, match=r"^0\.parquet: 1 numbers of encounters are not whole") as caught:
        encounters(opened(tmp_path))
    assert "7.5" not in str(caught.value)


def test_two_births_of_one_subject_are_refused(tmp_path: Path) -> None:
    records = opened(write(tmp_path, [row("MEDS_BIRTH"), row("MEDS_BIRTH"), row("MEDS_BIRTH", 1)]))
    with pytest.raises(CohortError, match=r"^0\.parquet: 1 subjects have more than one birth"):
        encounters(records)


def test_a_subject_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [row("LOINC//1", subject=i) for i in (1, 2, 2)])
    records = opened(write(tmp_path, [row("LOINC//1", subject=i) for i in (2, 3)], "train/1.parquet"))
    with pytest.raises(CohortError, match="data/: 1 subjects are in more than one file, which MEDS forbids"):
        encounters(records)


def test_columns_that_are_missing_or_of_another_type_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, [])
    made = pa.table(
        {"subject_id": ["a"], "time": ["2009"], "numeric_value": ["x"], "text_value": [1], "visit_id": [[1]]}
    )
    pq.write_table(made, tmp_path / "data/train/0.parquet")
    with pytest.raises(CohortError) as caught:
        opened(tmp_path)
    assert str(caught.value).splitlines() == [
        "0.parquet: 6 problems",
        '  - no column "code", as MEDS wants it',
        '  - the column "visit_id" holds list<element: int64>; expected text or whole numbers',
        '  - the column "subject_id" holds string; expected whole numbers',
        '  - the column "time" holds string; expected timestamps',
        '  - the column "numeric_value" holds string; expected numbers',
        '  - the column "text_value" holds int64; expected text',
    ]


def test_columns_that_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path, [])
    made = table([row("LOINC//1")]).select(["subject_id", "time", "code"])
    pq.write_table(made.set_column(2, "code", made["code"].dictionary_encode()), tmp_path / "data/train/0.parquet")
    (event,) = events(opened(tmp_path, column=None))
    assert (event["number"], event["unit"], event["answer"], event["encounter"]) == (None, None, None, None)
    with pytest.raises(CohortError, match=r'no column "visit_id", which the site file names'):
        opened(tmp_path)


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_half_a_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path, [row("LOINC//1", subject=i) for i in range(1000)]) / "data/train/0.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(
        CohortError, match=r"^0\.parquet: cannot be read as Parquet to its end; if it was cut short, copy"
    ):
        opened(tmp_path)


def test_damage_within_a_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [row(f"LOINC//{i}", subject=i) for i in range(20_000)]) / "data/train/0.parquet"
    data = bytearray(path.read_bytes())
    data[1000:60_000] = bytes(59_000)  # the footer stays, so that it opens
    path.write_bytes(data)
    records = opened(tmp_path)
    with pytest.raises(CohortError, match=r"^0\.parquet: cannot be read as Parquet to its end"):
        events(records)
    with pytest.raises(CohortError, match=r"^0\.parquet: cannot be read as Parquet to its end"):
        encounters(records)


def test_broken_codes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [row("LOINC//1")])
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/codes.parquet").write_bytes(b"PAR1")
    with pytest.raises(CohortError, match=r"^codes\.parquet: cannot be read as Parquet"):
        opened(tmp_path)
    pq.write_table(pa.table({"name": ["x"]}), tmp_path / "metadata/codes.parquet")
    with pytest.raises(CohortError, match=r'^codes\.parquet: no column "code"'):
        opened(tmp_path)


def test_rows_without_a_subject_or_a_code(tmp_path: Path) -> None:
    write(tmp_path, [])
    rows = [row("LOINC//1", subject=None), row(None), row("VISIT//ER", subject=None, visit_id=3)]
    pq.write_table(table(rows), tmp_path / "data/train/0.parquet")
    records = opened(tmp_path)
    assert [found["patient"] for found in encounters(records)] == [None]
    assert [event["patient"] for event in events(records)] == [None]
    assert records.account.counts == {"events without a code: left out": 1} | IDLE


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no Parquet file under data/; name the folder of a MEDS data set"):
        opened(tmp_path)
    write(tmp_path, [row("LOINC//1")])
    with pytest.raises(ConfigError, match=r"encounters\.starts"):
        opened(tmp_path, encounters={"starts": {}})
    with pytest.raises(ConfigError, match="no time zone"):
        opened(tmp_path, timezone="Mars/Olympus")


@pytest.mark.parametrize("number", [float("inf"), 1e30])
def test_encounters_of_numbers_that_no_id_can_be(number: float) -> None:
    with pytest.raises(CohortError, match="not whole, or too large"):
        name_of(pa.array([1.0, number, None]), "0.parquet")


def test_encounters_of_half_floats() -> None:
    assert name_of(pa.array(np.array([1, 2], np.float16)), "0.parquet").to_pylist() == ["1", "2"]
