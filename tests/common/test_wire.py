"""What may travel, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.model import initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING, LINEAR
from common.wire import allowed, array_name, pack, unpack

SHAPE = ModelShape(filters=3)
WHOLE = "cnn+linear"
STATE = initial_weights(4, SHAPE, 1)


@given(dimension=st.integers(1, 9), filters=st.integers(1, 9), kernel=st.integers(1, 3))
def test_what_is_packed_is_unpacked(dimension: int, filters: int, kernel: int) -> None:
    shape = ModelShape(filters=filters, kernel=kernel)
    state = initial_weights(dimension, shape, 5)
    back = unpack(pack(state, EVERYTHING, dimension, shape), EVERYTHING, dimension, shape)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_linear_is_202_numbers_at_the_papers_size() -> None:
    shape = ModelShape()
    packed = pack(initial_weights(768, shape, 0), (LINEAR,), 768, shape)
    assert {name: values.shape for name, values in packed.items()} == {"linear": (202,)}


def test_nothing_is_packed_for_direct_sharing() -> None:
    assert pack(STATE, (), 4, SHAPE) == {}
    assert unpack({}, (), 4, SHAPE) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv.bias": None}, "array conv.bias is missing"),
        ({"conv.bias": torch.zeros(4)}, r"array conv.bias is float32 \(4,\); expected float32 \(3,\)"),
        ({"linear.bias": torch.zeros(2, dtype=torch.float64)}, r"array linear.bias is float64 \(2,\)"),
        ({"conv.weight": torch.full((3, 4, 1), torch.nan)}, "array conv.weight holds 12 numbers that are not finite"),
    ],
)
def test_a_wrong_weight_is_not_packed(change: dict[str, torch.Tensor | None], words: str) -> None:
    state = {name: value for name, value in {**STATE, **change}.items() if value is not None}
    with pytest.raises(WireError, match=words):
        pack(state, EVERYTHING, 4, SHAPE)


def test_what_is_not_on_the_list_stays() -> None:
    packed = pack({**STATE, "table": torch.ones(9, 4)}, EVERYTHING, 4, SHAPE)
    assert set(packed) == {WHOLE}
    assert packed[WHOLE].size == sum(value.numel() for value in STATE.values())


FLAT = pack(STATE, EVERYTHING, 4, SHAPE)[WHOLE]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, r"arrays none came; expected \['cnn\+linear'\]"),
        ({WHOLE: FLAT, "table": FLAT}, "'table'"),
        ({"cnn+linear2": FLAT}, "cnn.linear2"),
        ({WHOLE: FLAT[:-1]}, r"expected float32 \(23,\)"),
        ({WHOLE: FLAT.astype(np.float64)}, "is float64"),
        ({WHOLE: np.append(FLAT[:-1], np.float32(np.inf))}, "array linear.bias holds 1 numbers that are not finite"),
        ({WHOLE: FLAT.reshape(1, -1)}, r"\(1, 23\)"),
    ],
)
def test_a_wrong_array_is_not_unpacked(arrays: dict[str, np.ndarray], words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(WireError, match=words):
        unpack(arrays, EVERYTHING, 4, SHAPE)


def test_an_array_where_none_is_expected_is_refused() -> None:
    with pytest.raises(WireError, match="expected none"):
        unpack({"linear": FLAT}, (), 4, SHAPE)


def test_names_are_whole() -> None:
    assert array_name(EVERYTHING) == WHOLE
    assert list(allowed((LINEAR,), 4, SHAPE)) == ["linear.weight", "linear.bias"]
