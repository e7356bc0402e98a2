"""The one place where weights are packed for a message and unpacked from it.

A message carries one flat float32 array, named by the parts of the model that it holds (``linear`` or ``cnn+linear``):
fewer round trips than one array each, and nothing to name but what is on the list. Both ends check.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import WireError
from common.shape import ModelShape
from common.strategies import CNN, EVERYTHING, LINEAR

Flat = NDArray[np.float32]

MOST_MODELS = 1000  # in one array
PARTS = {CNN: ("conv.weight", "conv.bias"), LINEAR: ("linear.weight", "linear.bias")}


def array_name(parts: tuple[str, ...]) -> str:
    """Give the name under which these parts travel."""
    return "+".join(parts)


def allowed(parts: tuple[str, ...], dimension: int, shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """List the arrays that may travel for these parts, with their shapes, in their order in the message."""
    shapes = {
        "conv.weight": (shape.filters, dimension, shape.kernel),
        "conv.bias": (shape.filters,),
        "linear.weight": (shape.outputs, shape.filters),
        "linear.bias": (shape.outputs,),
    }
    return {name: shapes[name] for part in parts for name in PARTS[part]}


def pack(state: Mapping[str, Tensor], parts: tuple[str, ...], dimension: int, shape: ModelShape) -> dict[str, Flat]:
    """Pack parts of a `state_dict` for a message.

    Parameters
    ----------
    state : mapping of str to Tensor
        A model's weights; what `parts` do not name stays behind.
    parts : tuple of str
        Of `common.strategies.EVERYTHING`; empty packs nothing.
    dimension, shape
        Sizes that the weights must have.

    Returns
    -------
    dict of str to ndarray
        Empty, or one flat float32 array under `array_name(parts)`.

    Raises
    ------
    WireError
        An array is missing, of another shape or type, or not finite. Names the array.
    """
    pieces = []
    for name, expected in allowed(parts, dimension, shape).items():
        value = state.get(name)
        if value is None:
            raise WireError(f"array {name} is missing; it travels with {array_name(parts)}")
        if tuple(value.shape) != expected or value.dtype != torch.float32:
            raise WireError(f"array {name} is {_describe(value)}; expected float32 {expected}")
        _check_finite(name, value.detach().numpy())
        pieces.append(value.detach().numpy().ravel())
    return {array_name(parts): np.concatenate(pieces)} if pieces else {}


def unpack(
    arrays: Mapping[str, NDArray[np.generic]], parts: tuple[str, ...], dimension: int, shape: ModelShape
) -> dict[str, Tensor]:
    """Unpack a message's arrays; the reverse of `pack`.

    Raises
    ------
    WireError
        Anything but the one expected array came: another name, type, size, or a number that is not finite.
    """
    expected = {array_name(parts)} if parts else set()
    if set(arrays) != expected:
        raise WireError(f"arrays {sorted(arrays) or 'none'} came; expected {sorted(expected) or 'none'}")
    if not parts:
        return {}
    flat = arrays[array_name(parts)]
    shapes = allowed(parts, dimension, shape)
    size = sum(prod(each) for each in shapes.values())
    if flat.dtype != np.float32 or flat.shape != (size,):
        raise WireError(f"array {array_name(parts)} is {flat.dtype} {flat.shape}; expected float32 ({size},)")
    return _cut(np.asarray(flat, dtype=np.float32), shapes)


def unpack_several(
    arrays: Mapping[str, NDArray[np.generic]], dimension: int, shape: ModelShape
) -> list[dict[str, Tensor]]:
    """Unpack whole models that came one after the other in one array.

    Raises
    ------
    WireError
        See `unpack`; or there are more than `MOST_MODELS`.
    """
    name, size = array_name(EVERYTHING), sum(prod(each) for each in allowed(EVERYTHING, dimension, shape).values())
    flat = arrays.get(name, np.empty(0, dtype=np.float32))
    count = max(1, flat.size // size)
    if flat.ndim != 1 or flat.size != count * size or count > MOST_MODELS:
        raise WireError(
            f"array {name} holds {flat.size:,} numbers; expected a multiple of {size:,}, up to {MOST_MODELS}"
        )
    return [unpack({**arrays, name: each}, EVERYTHING, dimension, shape) for each in np.split(flat, count)]


def _cut(flat: Flat, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Cut a flat array into named, shaped, finite ones."""
    state, start = {}, 0
    for name, shape in shapes.items():
        piece = flat[start : start + prod(shape)]
        _check_finite(name, piece)
        state[name] = torch.from_numpy(piece.copy()).reshape(shape)
        start += prod(shape)
    return state


def _check_finite(name: str, values: NDArray[np.generic]) -> None:
    wrong = int(np.size(values) - np.isfinite(values).sum())
    if wrong:
        raise WireError(f"array {name} holds {wrong} numbers that are not finite")


def _describe(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
