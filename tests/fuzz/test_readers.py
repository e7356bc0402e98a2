"""Whatever is read: an object, or an error of a few lines of print that says nothing of a patient.

`python -m benchmarks.fuzz TARGET` does the same for minutes, guided by coverage.
"""

from __future__ import annotations

import os
import random
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.contract import Finding, HangError, Reader, judge
from benchmarks.fuzz.mutate import mutate
from common.errors import CohortError, SitebridgeError

TIMES = {"wire": 25, "configuration": 25, "table": 30, "cohort": 8}  # inputs of each reader


LACKS = ("part has no", "no file that ends", "not flat float32", "greeting cannot be read")


@cache
def readers(target: str) -> list[Reader]:
    return import_module(f"benchmarks.fuzz.{target}").readers()  # type: ignore[no-any-return]


@pytest.mark.parametrize("target", TIMES)
@pytest.mark.filterwarnings("ignore")  # what NumPy and Arrow warn of in a broken file is said by the error
def test_a_broken_input_is_refused_in_print(target: str, tmp_path: Path) -> None:
    for number, reader in enumerate(readers(target)):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(reader, TIMES[target], folder)


def check(reader: Reader, times: int, folder: Path) -> None:
    @settings(
        max_examples=times,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # an input is small as it is
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(reader.seeds), st.integers(0, 2**32))
    def broken(seed: bytes, drawn: int) -> None:
        data = mutate(seed, reader.form, reader.seeds, random.Random(drawn))
        assert judge(reader, data, folder) is None

    broken()


@pytest.mark.parametrize("target", TIMES)
def test_a_good_input_is_read_or_lacks_no_more_than_encounters(target: str, tmp_path: Path) -> None:
    """Otherwise nothing behind the first check would ever be reached."""
    for reader in readers(target):
        for number, seed in enumerate(reader.seeds):
            folder = tmp_path / f"{reader.name}{number}"
            folder.mkdir()
            said = ""
            try:
                reader.read(seed, folder)
            except SitebridgeError as error:
                said = str(error)
            assert not said or any(words in said for words in LACKS), reader.name


def read_badly(error: BaseException) -> Reader:
    def read(data: bytes, folder: Path) -> object:
        raise error

    return Reader("bad", "bytes", (b"",), read, lambda data: "")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (KeyError("x"), "KeyError"),
        (HangError("x"), "HangError"),
        (CohortError("row 3: Quincunx"), "a cohort's value"),
    ],
)
def test_what_breaks_the_contract_is_found(error: BaseException, what: str, tmp_path: Path) -> None:
    finding = judge(read_badly(error), b"", tmp_path)
    assert isinstance(finding, Finding)
    assert what in finding.name


def test_an_error_behind_another_is_looked_at(tmp_path: Path) -> None:
    def read(data: bytes, folder: Path) -> object:
        try:
            raise ValueError("quincunx")
        except ValueError:
            raise CohortError("a cell is wrong")  # noqa: B904  # that is the fault

    finding = judge(Reader("bad", "bytes", (b"",), read, lambda data: ""), b"", tmp_path)
    assert finding is not None
    assert "a cohort's value" in finding.name


def test_a_reader_that_never_ends_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(data: bytes, folder: Path) -> object:
        while True:
            os.getpid()

    monkeypatch.setattr("benchmarks.fuzz.contract.SECONDS", 0.05)
    finding = judge(Reader("slow", "bytes", (b"",), read), b"", tmp_path)
    assert finding is not None
    assert "HangError" in finding.name


def test_a_reader_that_takes_memory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([0, 1 << 40])
    monkeypatch.setattr("benchmarks.fuzz.contract._peak", lambda: next(peaks))
    finding = judge(Reader("large", "bytes", (b"",), lambda data, folder: None), b"", tmp_path)
    assert finding is not None
    assert "memory" in finding.name
