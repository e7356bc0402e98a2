"""Everything that must hold for the parts of an embedding table, whoever made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from common.embeddings.centre import centre_and_scale
from common.embeddings.probes import PROBE_PHRASES

if TYPE_CHECKING:
    from common.embeddings.table import EmbeddingTable

_SHOWN = 5
_CHOICES = {"key": ("text", "token"), "normalisation": ("centred", "raw"), "centre_of": ("probes", "table")}


def table_problems(table: EmbeddingTable) -> list[str]:
    """Say everything that is wrong with a table, a line each."""
    lines = [*_shape_problems(table), *_word_problems(table)]
    if not lines:  # what follows reads the arrays as the shapes promise
        lines += [*_number_problems(table), *_token_problems(table)]
    return lines or list(_centre_problems(table))


def _word_problems(table: EmbeddingTable) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        if getattr(table, name) not in choices:
            yield f"{name} must be one of {', '.join(choices)}. Got {getattr(table, name)!r} instead"
    for name in ("model", "revision", "pooling"):
        if not getattr(table, name):
            yield f"{name} is empty; expected a word"
    if (table.centre_of == "probes") != (table.probes is not None):
        held = "no" if table.probes is None else "its"
        yield f"the centre is said to come from {table.centre_of}, but the table has {held} probe vectors"


def _shape_problems(table: EmbeddingTable) -> Iterator[str]:
    if table.vectors.ndim != 2 or table.vectors.shape[0] < 2 or not table.vectors.shape[1]:
        yield f"vectors must have shape (V, D) with at least two rows. Got {table.vectors.shape} instead"
        return
    size = table.vectors.shape[1]
    expected = {"vectors": table.vectors.shape, "centre": (size,), "probes": (len(PROBE_PHRASES), size)}
    for name, shape in expected.items():
        array = getattr(table, name)
        if array is None:
            continue
        if array.dtype != np.float32:
            yield f"{name} must be float32. Got {array.dtype} instead"
        if array.shape != shape:
            yield f"{name} must have shape {shape}. Got {array.shape} instead"


def _number_problems(table: EmbeddingTable) -> Iterator[str]:
    bad = np.flatnonzero(~np.isfinite(table.vectors).all(axis=1))
    if len(bad):
        yield f"{len(bad)} rows hold numbers that are not finite, such as rows {bad[:_SHOWN].tolist()}"
    for name in ("centre", "probes"):
        if (array := getattr(table, name)) is not None and not np.isfinite(array).all():
            yield f"{name} holds numbers that are not finite"
    if table.vectors[0].any():
        yield 'row 0 must be zeros: it stands for "no token"'


def _token_problems(table: EmbeddingTable) -> Iterator[str]:
    held, rows = len(table.tokens), len(table.vectors)
    if held != rows - 1:
        yield f"{held} tokens for {rows} rows; expected one token for each row but row 0, {rows - 1}"
    keys = Counter(table.key_of(token) for token in table.tokens)
    if keys[""]:
        yield f"{keys.pop('')} tokens have an empty {table.key}"
    if twice := [key for key, count in keys.items() if count > 1]:
        kind = "name" if table.key == "token" else "text"
        yield f"{len(twice)} tokens come more than once by {kind}, such as {twice[:_SHOWN]}"


def _centre_problems(table: EmbeddingTable) -> Iterator[str]:
    """Check that the recorded centre and scale are those of the recorded vectors: they decide what the model sees."""
    centre, scale = centre_and_scale(table.vectors[1:] if table.probes is None else table.probes)
    if not scale:
        yield f"the {table.centre_of} rows do not differ from each other, so they cannot be centred"
        return
    if not np.allclose(table.centre, centre, rtol=1e-4, atol=1e-4 / scale):
        yield f"the centre is not the mean of the {table.centre_of} vectors"
    if not np.isclose(table.scale, scale, rtol=1e-4):
        yield f"the scale by the spread of the {table.centre_of} vectors is {scale:.6g}. Got {table.scale:.6g} instead"
