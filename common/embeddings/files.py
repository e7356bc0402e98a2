"""Reads and writes embedding tables: safetensors, with everything about the vectors in the file's own metadata.

Tensors: `vectors` (V, D), `centre` (D,) and, for built tables, `probes` (P, D), all float32. Metadata: one entry
`sitebridge`, a JSON object (a single entry, because safetensors writes several in random order).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.concepts import Token
from common.embeddings.probes import phrases_digest
from common.embeddings.table import EmbeddingTable
from common.errors import Problems, TableError

FORMAT = "sitebridge-embeddings-1"

_SHIPPED = Path(__file__).parents[1] / "data"
_BUILTIN = {"minilm": _SHIPPED / "minilm.safetensors"}
_WORDS = ("key", "model", "revision", "pooling", "normalisation", "centre_of")
_REBUILD = "build or import the table again"

Arrays = dict[str, npt.NDArray[Any]]


def builtin_table(name: str) -> Path:
    """Give the path of a table that ships with Sitebridge: "minilm".

    Raises
    ------
    TableError
        There is no such table.
    """
    if name not in _BUILTIN:
        raise TableError(f"no built-in embedding table {name!r}; expected one of {', '.join(_BUILTIN)}")
    return _BUILTIN[name]


def save_table(table: EmbeddingTable, path: Path) -> None:
    """Write a table, whole or not at all. The same table always gives the same bytes.

    Raises
    ------
    TableError
        The folder is missing or cannot be written to.
    """
    arrays: Arrays = {"vectors": table.vectors, "centre": table.centre}
    if table.probes is not None:
        arrays["probes"] = table.probes
    about: dict[str, Any] = {name: getattr(table, name) for name in _WORDS}
    about |= {"format": FORMAT, "scale": table.scale, "probe_phrases": phrases_digest()}
    about["tokens"] = [[token.name, token.text] for token in table.tokens]
    about["sha256"] = _digest(arrays, about["tokens"])
    content = save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        metadata={"sitebridge": json.dumps(about, ensure_ascii=False, sort_keys=True)},
    )
    _replace(path, content)


def load_table(path: Path) -> EmbeddingTable:
    """Read a table and check all of it.

    Raises
    ------
    TableError
        The file is missing, is not an embedding table, or is damaged; names everything that is wrong.
    """
    arrays, about = _read(path)
    problems = Problems(str(path))
    problems.lines += _part_problems(arrays, about)
    problems.raise_if_any(TableError)
    try:
        return _assemble(arrays, about)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    if not path.is_file():
        raise TableError(f"{path}: no such file; expected an embedding table, as `sitebridge embed build` writes it")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, TypeError, AttributeError):
        # the last two: a type of number that NumPy does not have, such as bfloat16
        raise TableError(f"{path}: not a safetensors file of float32 arrays; {_REBUILD}") from None
    try:
        about = json.loads(metadata.get("sitebridge", ""))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise TableError(f"{path}: a safetensors file, but without Sitebridge's metadata; {_REBUILD}")
    return arrays, about


def _part_problems(arrays: Arrays, about: dict[str, Any]) -> list[str]:
    """Say what is missing or of the wrong kind, before the parts are put together."""
    if about.get("format") != FORMAT:
        return [f"format {about.get('format')!r}; this version of Sitebridge reads {FORMAT!r}; {_REBUILD}"]
    lines = [f"no tensor {name!r}" for name in ("vectors", "centre") if name not in arrays]
    lines += [f"unexpected tensor {name!r}" for name in arrays if name not in ("vectors", "centre", "probes")]
    lines += [f"metadata lacks the word {name!r}" for name in _WORDS if not isinstance(about.get(name), str)]
    if not _is_number(about.get("scale")):
        lines.append("metadata lacks the number 'scale'")
    if not _are_tokens(about.get("tokens")):
        lines.append("metadata lacks the list 'tokens' of [name, text]")
    if "probes" in arrays and about.get("probe_phrases") != phrases_digest():
        lines.append(f"built with another list of probe phrases than this version of Sitebridge has; {_REBUILD}")
    if about.get("sha256") != _digest(arrays, about.get("tokens")):
        lines.append(f"vectors and tokens do not have the SHA-256 that was recorded: the file is damaged; {_REBUILD}")
    return lines


def _assemble(arrays: Arrays, about: dict[str, Any]) -> EmbeddingTable:
    return EmbeddingTable(
        vectors=arrays["vectors"],
        tokens=tuple(Token(name, text) for name, text in about["tokens"]),
        centre=arrays["centre"],
        scale=float(about["scale"]),
        probes=arrays.get("probes"),
        **{name: about[name] for name in _WORDS},
    )


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)  # of JSON's, some fit no float


def _are_tokens(listed: Any) -> bool:
    if not isinstance(listed, list):
        return False
    return all(isinstance(t, list) and len(t) == 2 and all(isinstance(word, str) for word in t) for t in listed)


def _digest(arrays: Arrays, tokens: Any) -> str:
    """SHA-256 of the arrays' names, types, shapes and bytes, and of the token list that says what the rows mean."""
    digest = hashlib.sha256(json.dumps(tokens).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write `content` aside and move it into place, so that no reader ever sees half a table."""
    if not path.parent.is_dir():
        raise TableError(f"{path}: there is no folder {path.parent}; make it first")
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise TableError(f"{path}: cannot be written: {error.strerror}") from None
