"""Arrays of a message are read without trusting what they announce."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.transport import flat_of


def announced(shape: str, dtype: str = "<f4", body: bytes = b"\0" * 8) -> Array:
    """An array in NumPy's format whose header says what the test likes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body
    return Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=data)


def test_an_honest_array_is_read() -> None:
    values = np.array([1.5, -2.0, 3.25], np.float32)
    assert (flat_of(Array(values)) == values).all()
    assert (flat_of(announced("(2,)")) == np.zeros(2)).all()


def test_masked_words_are_read_to_the_bit() -> None:
    words = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert flat_of(Array(words)).dtype == np.uint64
    assert flat_of(Array(words)).tolist() == words.tolist()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (announced("(500000000,)"), "an array that announces 500,000,000 numbers in 8 bytes"),
        (announced("(3,)"), "an array that announces 3 numbers in 8 bytes"),
        (announced("(1,)"), "an array that announces 1 numbers in 8 bytes"),
        (announced("(2, 1)"), "an array that is not flat float32 but float32 with 2 axes"),
        (announced("(2,)", "<u8"), "an array that announces 2 numbers in 8 bytes"),
        (announced("(1,)", ">u8"), "an array that is not flat float32 but >u8 with 1 axes"),
        (announced("(1,)", "<i8"), "an array that is not flat float32 but int64 with 1 axes"),
        (announced("(1,)", "<f8"), "an array that is not flat float32 but float64 with 1 axes"),
        (announced("(1,)", "|O"), "an array that is not flat float32 but object"),
        (announced("__import__('os').getcwd()"), "an array of another kind"),
        (Array(dtype="float32", shape=(2,), stype="pickle", data=b"\x80\x04N."), "an array of another kind"),
        (Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=b""), "an array of another kind"),
        (Array(dtype="float32", shape=(2,), stype="other", data=announced("(2,)").data), "an array of another kind"),
    ],
)
def test_an_array_that_lies_is_refused_before_memory_is_taken(array: Array, words: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as error:
            flat_of(array)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert words in str(error.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_array_or_an_error_of_ours(data: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4, np.float32))
    for content in (data, buffer.getvalue()[: len(data)] + data, buffer.getvalue() + data):
        try:
            values = flat_of(Array(dtype="float32", shape=(4,), stype="numpy.ndarray", data=content))
        except WireError:
            continue
        assert values.dtype == np.float32


def test_reading_a_message_imports_no_torch() -> None:
    code = "import sys, common.transport, common.config; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
