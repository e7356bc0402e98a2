"""Writes a large embedding table row by row; the bytes are those that `common.embeddings.save_table` would write.

`save_table` holds the rows, their bytes and the file's bytes at once. Here the rows go straight to their places in the
file. Only the small parts (probes, centre, scale) make an `EmbeddingTable`, which checks them and gives the file's
form.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from client.embedding.cache import Found
from common.concepts import Token
from common.embeddings import EmbeddingTable, save_table
from common.errors import TableError

_BLOCK = 1 << 20  # bytes at a time
_FLOAT = 4  # bytes


def check_place(path: Path) -> None:
    """Raise a TableError where `path` cannot be written; said before hours of work, not after them."""
    if not path.parent.is_dir():
        raise TableError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise TableError(f"{path}: cannot be written; choose another --out")


def write_table(path: Path, space: EmbeddingTable, tokens: Sequence[Token], found: Iterable[Found]) -> None:
    """Write a table of `tokens`, whole or not at all.

    Parameters
    ----------
    space : EmbeddingTable
        A table of the probe phrases: its words, centre, scale and probes become the written table's.
    found : iterable of (int64 (n,), float32 (n, D))
        Vectors, in any order, with the numbers of their tokens. Each token must come at least once.

    Raises
    ------
    TableError
        A token has no vector, or the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_table(space, aside)
        with aside.open("r+b") as file:
            _fill(file, tokens, found, space.vectors.shape[1])
        os.replace(aside, path)
    except OSError as error:
        raise TableError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        aside.unlink(missing_ok=True)


def _fill(file: IO[bytes], tokens: Sequence[Token], found: Iterable[Found], size: int) -> None:
    """Turn the file of the probes' table into that of `tokens`: its header, its rows, and the digest of both."""
    header, content = _read(file)
    about = json.loads(header["__metadata__"]["sitebridge"])
    listed = [[token.name, token.text] for token in tokens]
    about["tokens"], about["sha256"] = listed, "0" * 64  # the digest is known only when the rows are there
    _reshape(header, len(tokens) + 1)
    start = _write_header(file, header, about)
    first, _ = header["vectors"]["data_offsets"]
    file.write(content[:first] + bytes(size * _FLOAT))  # what lies before the rows, and the row of "no token"
    _place(file, found, start + first, len(tokens), size * _FLOAT)
    about["sha256"] = _digest(file, header, start, listed)
    file.seek(0)
    _write_header(file, header, about)
    file.flush()
    os.fsync(file.fileno())


def _read(file: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Give a small safetensors file's header and data; the file is empty afterwards."""
    length = int.from_bytes(file.read(8), "little")
    header: dict[str, Any] = json.loads(file.read(length))
    content = file.read()
    file.seek(0)
    file.truncate()
    return header, content


def _reshape(header: dict[str, Any], rows: int) -> None:
    """Give `vectors`, which comes last by name, its number of rows."""
    about = header["vectors"]
    first, size = about["data_offsets"][0], about["shape"][1]
    about["shape"], about["data_offsets"] = [rows, size], [first, first + rows * size * _FLOAT]


def _write_header(file: IO[bytes], header: dict[str, Any], about: dict[str, Any]) -> int:
    """Write a header as safetensors does, padded to 8 bytes; give the place where the data begin."""
    header["__metadata__"]["sitebridge"] = json.dumps(about, ensure_ascii=False, sort_keys=True)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    return 8 + len(text)


def _place(file: IO[bytes], found: Iterable[Found], zero: int, tokens: int, row: int) -> None:
    """Write each vector to its row; row 0, at `zero`, stays zeros."""
    there = np.zeros(tokens, bool)
    for numbers, vectors in found:
        there[numbers] = True
        for number, vector in zip(numbers.tolist(), vectors, strict=True):
            file.seek(zero + (number + 1) * row)
            file.write(vector.astype("<f4").tobytes())
    if lacking := int((~there).sum()):
        raise TableError(f"{lacking} of {tokens} vectors were lost while the table was written; build it again")


def _digest(file: IO[bytes], header: dict[str, Any], start: int, listed: list[list[str]]) -> str:
    """SHA-256 of tokens and arrays, as `common.embeddings.files` has it, read back from the file."""
    digest = hashlib.sha256(json.dumps(listed).encode())
    for name, about in sorted(header.items()):
        if name == "__metadata__":
            continue
        digest.update(f"{name} <f4 {tuple(about['shape'])}\n".encode())
        first, end = about["data_offsets"]
        file.seek(start + first)
        for left in range(end - first, 0, -_BLOCK):
            digest.update(file.read(min(left, _BLOCK)))
    return digest.hexdigest()
