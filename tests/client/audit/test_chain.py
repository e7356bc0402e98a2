"""The audit log: any edit is found, a crash is told from an edit, and nothing that was written goes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.audit import HEAD, KEY, LOG, totals, verify
from client.audit.chain import read_lines
from client.audit.log import AuditLog
from common.errors import ConfigError

LINES = 6


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    log = AuditLog(folder)
    for number in range(LINES):
        record = {"direction": "out" if number % 2 else "in", "run": "r", "what": "full", "bytes": 10, "decision": "ok"}
        log.append(record | {"arrays": [{"name": "cnn+linear", "numbers": 5}], "figures": ["test.auroc"]})
    log.close()
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "agent"))


def test_a_log_verifies_and_its_key_is_the_agents_alone(written: Path) -> None:
    assert verify(written) == []
    assert stat.S_IMODE((written / KEY).stat().st_mode) == 0o600
    assert [line.record["n"] for line in read_lines(written / LOG) if line.record] == [1, 2, 3, 4, 5, 6]


def test_no_log_yet_is_no_problem(tmp_path: Path) -> None:
    assert verify(tmp_path) == []
    AuditLog(tmp_path)  # and then no line
    assert verify(tmp_path) == []


def test_a_log_removed_with_its_head_is_missed(copy: Path) -> None:
    (copy / LOG).unlink()
    (copy / HEAD).unlink()
    assert verify(copy)


@settings(max_examples=300)
@given(data=st.data())
def test_any_edit_of_the_file_is_found(written: Path, data: st.DataObject) -> None:
    whole = (written / LOG).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    edited = whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:]
    check_found(written, whole, edited)


@settings(max_examples=100)
@given(order=st.lists(st.integers(0, LINES - 1), max_size=LINES + 2))
def test_any_choice_of_lines_but_all_in_order_is_found(written: Path, order: list[int]) -> None:
    whole = (written / LOG).read_bytes()
    lines = whole.splitlines(keepends=True)
    check_found(written, whole, b"".join(lines[number] for number in order))


def check_found(written: Path, whole: bytes, edited: bytes) -> None:
    try:
        (written / LOG).write_bytes(edited)
        assert bool(verify(written)) == (edited != whole)
    finally:
        (written / LOG).write_bytes(whole)


def edit(line: int, change: Callable[[list[bytes]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        lines = (folder / LOG).read_bytes().splitlines(keepends=True)
        change(lines)
        (folder / LOG).write_bytes(b"".join(lines))

    return apply


EDITS = {
    "changed": (edit(3, lambda lines: lines.__setitem__(2, lines[2].replace(b'"r"', b'"s"'))), "line 3: changed"),
    "removed": (edit(3, lambda lines: lines.pop(2)), "line 3: does not follow"),
    "inserted": (edit(3, lambda lines: lines.insert(2, lines[0])), "line 3: does not follow"),
    "cut": (edit(6, lambda lines: lines.pop()), "6 lines were written, 5 are there"),
    "cut within": (edit(6, lambda lines: lines.__setitem__(5, lines[5][:40])), "6 lines were written, 5 are there"),
    "rubbish": (edit(3, lambda lines: lines.insert(3, b"rubbish\n")), "line 5: the torn lines before it"),
    "all": (lambda folder: (folder / LOG).unlink(), "6 lines were written, 0 are there"),
    "head": (lambda folder: (folder / HEAD).unlink(), "audit.head: missing"),
    "forged head": (lambda folder: (folder / HEAD).write_text('{"count": 1, "sha256": "a", "seal": "b"}'), "changed"),
    "key": (lambda folder: (folder / KEY).unlink(), "audit.key: missing"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_was_done_is_said_with_its_line(copy: Path, name: str) -> None:
    change, says = EDITS[name]
    change(copy)
    assert any(says in problem for problem in verify(copy)), verify(copy)


@pytest.mark.parametrize(("name", "left"), [("cut", 5), ("changed", 6)])
def test_an_edited_log_is_gone_on_with_and_says_so_from_then_on(copy: Path, name: str, left: int) -> None:
    change, says = EDITS[name]
    change(copy)
    for _ in range(3):
        log = AuditLog(copy)
        log.append({"direction": "note", "note": "started"})
        log.close()
    assert [problem for problem in verify(copy) if says in problem]
    assert len(list(read_lines(copy / LOG))) == left + 1 + 3  # the finding is noted once


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_line_is_noted_and_everything_goes_on(copy: Path, cut: int) -> None:
    """As a crash leaves it: a line that is not whole, of which the head does not know."""
    with (copy / LOG).open("ab") as file:
        file.write((copy / LOG).read_bytes().splitlines()[-1][:cut])
    assert ["torn by a crash" in problem for problem in verify(copy)] == [True]
    log = AuditLog(copy)
    log.append({"direction": "note", "note": "started"})
    log.close()
    assert verify(copy) == []
    records = [line.record for line in read_lines(copy / LOG)]
    assert records[LINES] is None
    assert [record["n"] for record in records if record] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_head_that_a_crash_left_behind_is_caught_up_with(copy: Path) -> None:
    head = (copy / HEAD).read_bytes()
    log = AuditLog(copy)
    log.append({"direction": "note", "note": "one more"})
    (copy / HEAD).write_bytes(head)
    assert verify(copy) == []


def test_a_whole_line_without_its_end_is_kept(copy: Path) -> None:
    whole = (copy / LOG).read_bytes()
    (copy / LOG).write_bytes(whole[:-1])
    assert verify(copy)
    log = AuditLog(copy)
    log.append({"direction": "note", "note": "started"})
    assert (copy / LOG).read_bytes().startswith(whole)


def test_nothing_goes_on_where_a_line_cannot_be_written_and_later_it_does(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes half a line, twice, and then is mended."""
    log, real = AuditLog(copy), os.write

    def half(file: int, content: bytes) -> int:
        return real(file, content[: len(content) // 2]) if len(content) > 1 else real(file, content)

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                log.append({"direction": "note", "note": "lost"})
    log.append({"direction": "note", "note": "mended"})
    assert verify(copy) == []
    assert [r["note"] for line in read_lines(copy / LOG) if (r := line.record) and "note" in r][-1] == "mended"


def test_a_log_whose_key_is_gone_is_not_gone_on_with(copy: Path) -> None:
    (copy / KEY).unlink()
    with pytest.raises(ConfigError, match=r"audit\.key"):
        AuditLog(copy)
    assert not (copy / KEY).exists()


def test_the_log_is_added_up(written: Path) -> None:
    came, left = totals(written)
    assert (came.direction, left.direction, left.messages, left.numbers) == ("in", "out", 3, 15)
    assert (left.figures, left.bytes, left.refused) == (3, 30, 0)
