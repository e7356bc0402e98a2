"""Frames: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import json
import pickle
import socket
import struct
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from client.frames import (
    MOST_ARRAYS,
    MOST_HEADER,
    Frame,
    FrameError,
    SilenceError,
    answer_in,
    encode,
    header_of,
    receive,
    request_in,
)
from common.tasks import Answer, Request

HEAD = struct.Struct(">4sHIQ")
FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=50).map(lambda x: np.array(x, dtype=np.float32))
WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=50).map(lambda x: np.array(x, dtype=np.uint64))  # masked
ARRAYS = st.dictionaries(st.text("abc+", min_size=1, max_size=5), FLOATS | WORDS, max_size=3)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def through(data: bytes, close: bool = True) -> Frame:
    """Send bytes through a socket and read a frame at its other end."""
    near, far = socket.socketpair()
    with near, far:

        def send() -> None:
            near.sendall(data)
            if close:
                near.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return receive(far, 20)
        finally:
            far.close()
            sender.join()


@given(st.text(), NUMBERS, ARRAYS)
def test_a_request_comes_through_as_it_was(task: str, pull: float, arrays: Any) -> None:
    came = request_in(through(encode(header_of(Request(task, arrays, pull)), arrays)[0]))
    assert (came.task, came.proximal_mu, set(came.arrays)) == (task, pull, set(arrays))
    assert all(np.array_equal(came.arrays[name], arrays[name]) for name in arrays)
    assert all(came.arrays[name].dtype == arrays[name].dtype for name in arrays)


@given(st.dictionaries(st.text(max_size=9), NUMBERS, max_size=5), ARRAYS, st.lists(st.text("abc", max_size=3)))
def test_an_answer_comes_through_as_it_was(figures: dict[str, float], arrays: Any, withheld: list[str]) -> None:
    sent = Answer("ok", "a", figures, '{"x": "é"}', arrays, tuple(withheld))
    payload, frame = encode(header_of(sent), arrays)
    came = through(payload)
    assert (came.sha256, came.size) == (frame.sha256, frame.size)
    answer = answer_in(came)
    assert (answer.figures, answer.facts, answer.withheld) == (sent.figures, sent.facts, sent.withheld)
    assert all(np.array_equal(answer.arrays[name], arrays[name]) for name in arrays)


def frame(header: bytes, body: bytes = b"") -> bytes:
    return HEAD.pack(b"SBRG", 1, len(header), len(body)) + header + body


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_are_refused(data: bytes) -> None:
    for sent in (data, HEAD.pack(b"SBRG", 1, 5, 10) + data, frame(data), frame(b"{}", data)):
        try:
            through(sent)
        except FrameError:
            continue


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEAD.pack(b"SBRG", 1, 2, 2**31) + b"{}", "announces arrays of 2,147,483,648 bytes"),
        (HEAD.pack(b"SBRG", 1, 2**31, 0), "announces a header of 2,147,483,648 bytes"),
        (HEAD.pack(b"SBRG", 1, 0, 2**64 - 1), "announces arrays"),
        (HEAD.pack(b"HTTP", 1, 2, 0), "begins with other bytes"),
        (HEAD.pack(b"SBRG", 2, 2, 0), "protocol 2"),
    ],
)
def test_a_head_is_judged_before_anything_else_comes(data: bytes, says: str) -> None:
    """The other end stays open and says no more: nothing waits for it, or makes room for it."""
    with pytest.raises(FrameError, match=says):
        through(data, close=False)


def test_memory_is_taken_as_bytes_come() -> None:
    tracemalloc.start()
    try:
        for sizes in ((MOST_HEADER, 0), (2, MOST_ARRAYS)):
            with pytest.raises(FrameError, match="cut off"):
                through(HEAD.pack(b"SBRG", 1, *sizes) + b"{}xx")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_many_names_in_few_bytes_are_refused_before_they_are_read() -> None:
    body = save({f"{number:05}": np.zeros(0, np.float32) for number in range(1000)})
    with pytest.raises(FrameError, match="longer list of names"):
        through(frame(b"{}", body))


@pytest.mark.parametrize(
    "body",
    [
        save({"a": np.zeros(3)}),
        save({"a": np.zeros((1, 3), np.float32)}),
        save({"a": np.zeros(3, np.int32)}),
        save({"a": np.zeros(3, np.float16)}),
        pickle.dumps({"a": np.zeros(3, np.float32)}),
        save({"a": np.zeros(3, np.float32)}) + b"more",
        save({"a": np.zeros(3, np.float32)})[:-1],
        b"1234567",
    ],
)
def test_only_flat_float32_in_safetensors_is_read(body: bytes) -> None:
    with pytest.raises(FrameError):
        through(frame(b"{}", body))


def test_many_lists_in_few_bytes_are_refused_before_they_are_made() -> None:
    with pytest.raises(FrameError, match="more lists"):
        through(frame(b'{"a":[' + b"[]," * 100_000 + b"[]]}"))


@pytest.mark.parametrize("header", [b"[]", b"1", b"{", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 9_999])
def test_a_header_is_a_json_object(header: bytes) -> None:
    with pytest.raises(FrameError):
        through(frame(header))


@pytest.mark.parametrize(
    "header",
    [{}, {"task": 1, "proximal_mu": 0}, {"task": "", "proximal_mu": "0"}, {"task": "", "proximal_mu": 0, "more": 1},
     {"task": "", "proximal_mu": True}],
)  # fmt: skip
def test_a_request_has_its_two_keys(header: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match=r"request|number"):
        request_in(through(frame(json.dumps(header).encode())))


def test_an_answer_has_its_keys() -> None:
    for header in ({}, {"code": "ok", "site": "", "facts": "", "figures": [], "withheld": []}):
        with pytest.raises(FrameError, match="answer"):
            answer_in(through(frame(json.dumps(header).encode())))


def test_a_frame_too_large_is_not_made() -> None:
    with pytest.raises(FrameError, match="the most is"):
        encode({}, {"a": np.zeros(MOST_ARRAYS // 4 + 1, np.float32)})


def test_silence_is_not_a_frame_and_a_slow_one_ends() -> None:
    with pytest.raises(SilenceError):
        through(b"")
    near, far = socket.socketpair()
    with near, far:
        near.sendall(b"SB")
        with pytest.raises(FrameError, match="in time"):
            receive(far, 0.05)
