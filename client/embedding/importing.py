"""Reads the embedding tables that the paper's authors published: HDF5 files with one small data set for each text.

A data set is named ``CODE text`` or ``CODE Not text``, of shape (1, D). The first is the token ``CODE_P``, the other
``CODE_A``. A first word with an underscore, as in ``agegroup_ls5 ...``, is a whole token's name already; its twin with
"Not" stands for nothing that an encounter can hold, and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.concepts import ABSENT, PRESENT, Token, canonical_text
from common.embeddings import EmbeddingTable, make_table
from common.errors import Problems, TableError

_NOT = "Not "
_LONGEST = 100_000  # numbers of a vector

Arrays = dict[str, npt.NDArray[Any]]


def import_table(path: Path, *, model: str, revision: str = "unknown", pooling: str = "unknown") -> EmbeddingTable:
    """Read a file of the authors' layout. Rows are found by token name, and the centre is the table's own.

    Parameters
    ----------
    model, revision, pooling : str
        What made the vectors; the file does not say.

    Raises
    ------
    TableError
        h5py is not installed, or the file is not of this layout; names every data set at fault.
    """
    arrays = _read(path)
    tokens = {name: token for name in arrays if (token := token_of(name))}
    problems = Problems(str(path))
    problems.lines += [*_name_problems(arrays, tokens), *_array_problems(arrays)]
    problems.raise_if_any(TableError)
    rows = np.concatenate([arrays[name] for name in tokens]).astype(np.float32)  # (V - 1, D)
    try:
        return make_table(rows, list(tokens.values()), key="token", model=model, revision=revision, pooling=pooling)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def token_of(name: str) -> Token | None:
    """Give the token that a data set's name stands for; None where it stands for none."""
    code, _, text = name.partition(" ")
    absent = text.startswith(_NOT)
    text = canonical_text(text)
    if "_" in code.strip("_"):
        return None if absent else Token(code, text)
    return Token(f"{code}_{ABSENT if absent else PRESENT}", text) if code and text else None


def _read(path: Path) -> Arrays:
    try:
        import h5py
    except ImportError:
        raise TableError(
            "importing HDF5 needs the package h5py; install it with: pip install 'sitebridge[embed]'"
        ) from None
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            return {_text(name): _array(item) for name, item in file.items()}
    except Exception:  # h5py tells of a broken file in many ways
        raise TableError(f"{path}: not an HDF5 file, or a damaged one") from None


def _text(name: str | bytes) -> str:
    """Give a data set's name, which h5py leaves as bytes where it is not UTF-8."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _array(item: Any) -> npt.NDArray[Any]:
    """Read one data set; one that is none, or announces more than a vector, as nothing: it takes no memory."""
    small = isinstance(getattr(item, "shape", None), tuple) and item.size is not None and item.size <= _LONGEST
    return np.asarray(item[()]) if small else np.empty(0)


def _name_problems(arrays: Arrays, tokens: dict[str, Token]) -> Iterator[str]:
    if not arrays:
        yield "holds no data sets"
    elif not tokens:
        yield "no data set is named 'CODE text' or 'CODE Not text'"
    for name in arrays:
        if " " not in name:
            yield f"data set {name!r}: expected a name such as 'C0013404 dyspnea' or 'C0013404 Not dyspnea'"
    counts = Counter(token.name for token in tokens.values())
    for twice in (name for name, count in counts.items() if count > 1):
        yield f"{counts[twice]} data sets for the token {twice}; expected one"


def _array_problems(arrays: Arrays) -> Iterator[str]:
    sizes = Counter(array.shape[1] for array in arrays.values() if array.ndim == 2)
    usual = sizes.most_common(1)[0][0] if sizes else "D"
    for name, array in arrays.items():
        if array.shape != (1, usual):
            yield f"data set {name!r}: expected shape (1, {usual}). Got {array.shape} instead"
        elif array.dtype.kind != "f":
            yield f"data set {name!r}: expected floating-point numbers. Got {array.dtype} instead"
        elif not np.isfinite(array).all():
            yield f"data set {name!r}: holds numbers that are not finite"
