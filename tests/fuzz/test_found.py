"""What the fuzzer broke readers with, made small: each was another exception once, or a message that is none."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
import safetensors.numpy
from flwr.app import ConfigRecord, Message, RecordDict

from benchmarks.fuzz.hill import SITE
from client.boundary import read_task
from client.cohorts.reader import read_header, read_table
from client.embedding.importing import import_table
from client.frames import FrameError, answer_in, receive, request_in
from client.home.keys import read_certificate
from client.records.clock import Clock
from client.records.contract import Account, Codebook
from client.records.meds import MedsSection, open_records
from client.records.meds_files import with_dictionary
from client.records.section import read_section
from client.records.table_codes import CodeReader
from client.site_file import load_site
from client.told import _read as read_told
from common.config import load_federation
from common.embeddings import Fingerprint, builtin_table, load_table
from common.errors import CohortError, ConfigError, Problems, SitebridgeError, TableError, WireError
from common.tasks import Request
from common.toml import resolve
from common.trained.model import read_file
from common.transport import CONFIG, request_of
from server.journal import Journal

DEEP = "[" * 5000


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# messages


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\0", r"\x00"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_message_is_print(quoted: str, shown: str) -> None:
    assert str(SitebridgeError(f"key {quoted}")) == f"key {shown}"
    problems = Problems("site.toml")
    problems.add(quoted)
    problems.add("more")
    with pytest.raises(ConfigError) as caught:
        problems.fail(ConfigError)
    assert str(caught.value) == f"site.toml: 2 problems\n  - {shown}\n  - more"


def test_a_message_has_an_end() -> None:
    said = str(SitebridgeError("begins " + "x" * 100_000 + " ends\n  - " + "y" * 100_000))
    assert [len(line) for line in said.split("\n")] == [3005, 3005]
    assert said.startswith("begins ")
    assert " ends\n  - yyy" in said


# configuration


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"a = {DEEP}", "lie deeper in each other"),
        (f"seeds = [{'9' * 5000}]", "not valid TOML: Exceeds the limit"),
        ("a = 1\ufeff", "not valid TOML"),
        ("preset = []", r"preset is \[\]"),
        ('"a\\nb" = 1', r"unknown key a\\nb"),
    ],
)
def test_a_federation_file(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        load_federation(write(tmp_path / "federation.toml", content))


def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for name in ("a\0b", "x" * 5000, "circle"):
        with pytest.raises(ConfigError, match="no file can be reached by this path"):
            resolve(name, tmp_path)


def test_a_cohort_file_that_no_file_can_be(tmp_path: Path) -> None:
    site = SITE["others"].replace("hill.csv", "x" * 5000 + ".csv")
    with pytest.raises(ConfigError, match="no file can be reached by this path"):
        load_site(write(tmp_path / "site.toml", site))


def test_a_kind_of_records_that_is_a_list() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        read_section({"kind": ["fhir"]})


# the wire


class Stream:
    def __init__(self, header: bytes) -> None:
        self.file = io.BytesIO(struct.pack(">4sHIQ", b"SBRG", 1, len(header), 0) + header)

    def recv(self, size: int) -> bytes:
        return self.file.read(size)


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ({"task": "", "proximal_mu": 10**400}, request_in),
        ({"code": "ok", "site": "", "facts": "", "figures": {"n": 10**400}, "withheld": []}, answer_in),
    ],
)
def test_a_number_of_hundreds_of_digits_in_a_frame(header: dict[str, Any], read: Callable[[Any], object]) -> None:
    with pytest.raises(FrameError, match=r"not a number|not that of an answer"):
        read(receive(cast(Any, Stream(json.dumps(header).encode()))))


@pytest.mark.parametrize("config", [{}, {"task": "x", "proximal-mu": [1.0]}, {"task": "x", "proximal-mu": 10**400}])
def test_a_message_without_a_task(config: dict[str, Any]) -> None:
    record = config if "proximal-mu" in config and config["proximal-mu"] == 10**400 else ConfigRecord(config)
    content = SimpleNamespace(config_records={CONFIG: record}, array_records={})
    with pytest.raises(WireError, match="a message without a task"):
        request_of(cast(Message, SimpleNamespace(content=content)))
    with pytest.raises(WireError, match="a message without a task"):
        request_of(cast(Message, SimpleNamespace(content=RecordDict())))


def test_a_task_s_faults_are_one_line() -> None:
    with pytest.raises(WireError) as caught:
        read_task(Request('{"kind": "greet", "session": [1], "run": 3}'))
    assert str(caught.value).startswith("the task cannot be read: version Field required; run Input should be")
    assert "\n" not in str(caught.value)


def test_a_sketch_of_numbers_too_large_to_compare() -> None:
    content = load_table(builtin_table("minilm")).fingerprint().to_json()
    for number in (10**400, 1e300, float("nan")):
        with pytest.raises(TableError, match="a sketch of 16 numbers"):
            Fingerprint.from_json(content | {"sketch": [number] * 16})


@pytest.mark.parametrize(
    "journal", ["", "0", "[]", '{"question": ""}', '{"question": "", "answers": {"hill": {}}}', DEEP]
)
def test_a_damaged_journal(journal: str, tmp_path: Path) -> None:
    write(tmp_path / "000001.safetensors", safetensors.numpy.save({"a": np.zeros(1)}, metadata={"journal": journal}))
    with pytest.raises(ConfigError, match="damaged; remove it and what follows it"):
        Journal(tmp_path).recall({})
    write(tmp_path / "000001.safetensors", b"cut")
    with pytest.raises(ConfigError, match="damaged"):
        Journal(tmp_path).recall({})


# tables


def test_an_hdf5_table_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["C1 fever"] = np.ones((1, 3), np.float32)
    whole = path.read_bytes()
    write(path, whole.replace(b"SNOD", b"SNOX"))
    with pytest.raises(TableError, match="not an HDF5 file, or a damaged one"):
        import_table(path, model="m")


def test_an_hdf5_table_that_announces_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("C1 fever", shape=(1, 2**40), dtype="f4", chunks=(1, 1024))
    assert path.stat().st_size < 10_000
    with pytest.raises(TableError, match=r"data set 'C1 fever': expected shape"):
        import_table(path, model="m")


def test_an_hdf5_table_with_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["C1\udcff".encode("utf-8", "surrogateescape")] = np.ones((1, 3), np.float32)
    with pytest.raises(TableError, match=r"no data set is named"):
        import_table(path, model="m")


def test_a_table_whose_metadata_are_deeper_than_any(tmp_path: Path) -> None:
    content = safetensors.numpy.save({"a": np.zeros(1, np.float32)}, metadata={"sitebridge": DEEP})
    with pytest.raises(TableError, match="without Sitebridge's metadata"):
        load_table(write(tmp_path / "t.safetensors", content))


def test_a_table_whose_scale_fits_no_float(tmp_path: Path) -> None:
    name = write(tmp_path / "t.safetensors", builtin_table("minilm").read_bytes())
    with safetensors.safe_open(name, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a mapping
        about = json.loads(file.metadata()["sitebridge"]) | {"scale": 10**400}
    write(name, safetensors.numpy.save(arrays, metadata={"sitebridge": json.dumps(about)}))
    with pytest.raises(TableError, match="lacks the number 'scale'"):
        load_table(name)


@pytest.mark.parametrize("about", [DEEP, '{"format": []}', "[]"])
def test_a_model_with_other_settings(about: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m", safetensors.numpy.save({"a": np.zeros(1, np.float32)}, metadata={"sitebridge": about}))
    with pytest.raises(ConfigError, match="not a model that this version of Sitebridge wrote"):
        read_file(path)


def test_a_memory_of_cohorts_that_is_another_s(tmp_path: Path) -> None:
    path = tmp_path / "2020-01-01-0.npz"
    np.savez_compressed(path, train=np.zeros(3, np.uint64), validation=np.zeros(3), test=np.array("x"))
    with pytest.raises(ConfigError, match="damaged; put it back"):
        read_told(path)
    content = path.read_bytes()
    for place in range(len(content) - 80, 30, -7):
        write(path, content[:place] + b"\xff" + content[place + 1 :])
        with pytest.raises(ConfigError, match="damaged"):
            read_told(path)


# certificates


def test_a_certificate_whose_parts_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="expected one certificate in PEM"):
        read_certificate(_certificate().replace(b"\x30\x06\x01\x01\xff", b"\x30\x06\x01\x01\x07"), "ca")


def _certificate() -> Any:
    """Give an authority's certificate whose bytes are changed below the PEM."""
    import base64

    from server.coordinator.authority import new_authority

    lines = new_authority("127.0.0.1").certificate.decode().strip().split("\n")
    body = base64.b64decode("".join(lines[1:-1]))

    class Changed:
        def replace(self, old: bytes, new: bytes) -> str:
            assert old in body
            changed = base64.b64encode(body.replace(old, new)).decode()
            return f"{lines[0]}\n{changed}\n{lines[-1]}\n"

    return Changed()


# cohorts


def test_days_and_zones_that_there_are_none_of() -> None:
    with pytest.raises(CohortError, match="holds days that no calendar has") as caught:
        Clock(None).local(pa.array([-1836388031], pa.int32()).cast(pa.date32()), "events")
    assert "1836388031" not in str(caught.value)
    with pytest.raises(CohortError, match=r"timestamp\[us, tz=\+25:00\], of a zone that there is none of"):
        Clock(None).local(pa.array([0], pa.timestamp("s", "+25:00")), "events")


def parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pa_parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def test_a_column_s_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path / "hill.parquet", parquet({"quincunx": [1]}).replace(b"quincunx", b"quincun\xff"))
    with pytest.raises(CohortError, match="cannot be read as Parquet"):
        read_header(path)


def test_cells_that_are_not_utf_8(tmp_path: Path) -> None:
    """Arrow reads them, as it reads a dictionary's indices past its end; only a full check finds either."""
    broken = pa.Array.from_buffers(pa.string(), 1, [None, *pa.array([b"\xff"]).buffers()[1:]])
    path = write(tmp_path / "hill.parquet", parquet({"a": broken}))
    with pytest.raises(CohortError, match="cannot be read as Parquet"):
        read_table(path, ["a"])


def meds(folder: Path, codes: dict[str, Any] | None = None, **columns: Any) -> Any:
    for name in ("data", "metadata"):
        (folder / name).mkdir()
    marks = {"starts": {"VISIT": "emergency"}, "end": ["END"]}
    moment = pa.array([10**15], pa.timestamp("us"))
    events = {"subject_id": pa.array([1], pa.int64()), "time": moment, "code": ["LOINC//1"]} | columns
    write(folder / "data" / "0.parquet", parquet(events))
    if codes is not None:
        write(folder / "metadata" / "codes.parquet", parquet(codes))
    section = MedsSection.model_validate({"kind": "meds", "folder": ".", "encounters": marks})
    return open_records(section, folder)


def test_a_meds_file_without_an_encounter(tmp_path: Path) -> None:
    assert sum(batch.num_rows for batch in meds(tmp_path).encounters()) == 0


@pytest.mark.parametrize(
    ("column", "values"), [("code", [{"a": 1}]), ("description", [3]), ("parent_codes", [{"a": "b"}])]
)
def test_meds_codes_of_another_type(column: str, values: list[Any], tmp_path: Path) -> None:
    codes = {"code": ["a"], "description": ["b"], "parent_codes": [["c"]]} | {column: values}
    with pytest.raises(CohortError, match=f'the column "{column}" holds'):
        meds(tmp_path, codes)


def test_a_meds_code_that_is_null_in_its_dictionary() -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(["LOINC//1", None]))
    assert with_dictionary(codes).to_pylist() == [None, "LOINC//1"]
    assert with_dictionary(codes).dictionary.to_pylist() == ["LOINC//1"]


def test_a_code_that_holds_the_mark_between_codes() -> None:
    codebook = Codebook()
    reader = CodeReader(codebook, Account(), {}, None)
    assert reader.read({"code": pa.array(["a\x1fb"])}).tolist() == [0]
    assert codebook.entries[0].codings[0].code == "a b"


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_times_in_other_libraries_text(kind: Any) -> None:
    read = Clock(None).local(pa.array(["2009-03-05T12:00:00.5"], kind))
    assert str(read[0]) == "2009-03-05 12:00:00.500000"


def test_a_meds_column_of_units_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match='the column "unit" holds'):
        meds(tmp_path, unit=[{"a": 1}])
