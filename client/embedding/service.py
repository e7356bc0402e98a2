"""A service that speaks OpenAI's way of asking for embeddings: POST /embeddings with a model's name and texts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.embedding.address import is_loopback
from client.embedding.door import Clock, Door
from client.embedding.embedder import Floats, Origin
from common.errors import Problems, TableError

KEY_ENV = "OPENAI_API_KEY"

_RELEASE = re.compile(r"-v?\d[\d.-]*")  # behind a model's name: its date or its number, but not "-8b" or "-large"


@dataclass(frozen=True)
class Service:
    """A model behind an address.

    Parameters
    ----------
    door : Door
        The way there.
    model : str
        The model's name there.
    dimensions : int or None
        Numbers a text to ask for; None for as many as the model gives.
    prefix : str
        What is put before each text.
    batch : int
        Texts a request.
    """

    door: Door
    model: str
    dimensions: int | None
    prefix: str
    batch: int

    @property
    def origin(self) -> Origin:
        """Say where the vectors come from. The address is left out of what sites compare: one model, many addresses."""
        cut = f", {self.dimensions} dimensions" if self.dimensions else ""
        more = {"service": self.door.url, "model": self.model}
        return Origin("as served", f"service{cut}", self.prefix, more)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Ask for the vectors of at most `batch` texts, float32 (len(texts), D).

        Raises
        ------
        TableError
            The service refuses, cannot be reached, or answers with something else than was asked.
        """
        asked: dict[str, Any] = {"model": self.model, "input": [self.prefix + text for text in texts]}
        asked |= {"encoding_format": "float"} | ({"dimensions": self.dimensions} if self.dimensions else {})
        return self._checked(self.door.post("/embeddings", asked), len(texts))

    def _checked(self, answer: Any, count: int) -> Floats:
        """Give the vectors of an answer in the order of the texts, if all of it is as asked."""
        problems = Problems(f"{self.door.url}: the answer is not as asked")
        told = str(answer.get("model")) if isinstance(answer, Mapping) else ""
        if told != self.model and not (told.startswith(self.model) and _RELEASE.fullmatch(told[len(self.model) :])):
            problems.add(f"model {told[:80]!r}; expected {self.model!r}")
        rows = _numbered(answer)
        if sorted(number for number, _ in rows) != list(range(count)):
            problems.add(f"{len(rows)} vectors for {count} texts; expected one for each, numbered from 0")
        problems.raise_if_any(TableError)
        vectors = _array([row for _, row in sorted(rows, key=lambda pair: pair[0])])
        if vectors is None:
            problems.add("vectors that are not lists of numbers, all of one length")
        elif self.dimensions and vectors.shape[1] != self.dimensions:
            problems.add(f"{vectors.shape[1]} numbers a text; expected {self.dimensions}")
        elif not np.isfinite(vectors).all():
            problems.add("numbers that are not finite")
        if vectors is None or problems.lines:
            problems.fail(TableError)
        return vectors


def _numbered(answer: Any) -> list[tuple[int, Any]]:
    """Give the answer's vectors with their numbers; entries of another form are left out, and so missed."""
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    return [(entry["index"], entry.get("embedding")) for entry in entries if type(entry.get("index")) is int]


def _array(rows: list[Any]) -> Floats | None:
    """Give lists of numbers as float32 (n, D); None where they are anything else."""
    if not all(isinstance(row, list) and all(type(number) in (int, float) for number in row) for row in rows):
        return None
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        return None
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.array(rows, np.float64).astype(np.float32)


def open_service(
    url: str,
    model: str,
    *,
    dimensions: int | None = None,
    prefix: str | None = None,
    batch: int = 128,
    key_env: str = KEY_ENV,
    per_minute: float | None = None,
    clock: Clock | None = None,
) -> Service:
    """Get ready to ask a service; nothing is sent yet.

    Parameters
    ----------
    key_env : str
        Name of the environment variable that holds the key. Only a service on this machine may do without.
    per_minute : float, optional
        Requests a minute, at most.

    Raises
    ------
    TableError
        The address is not one that may be used, or there is no key.
    """
    door = Door(url, _key(key_env, is_loopback(url)), key_env, per_minute, clock)
    return Service(door, model, dimensions, prefix or "", batch)


def _key(name: str, optional: bool) -> str | None:
    key = os.environ.get(name, "").strip()
    if not key and not optional:
        raise TableError(
            f"{name} is not set: it should hold the key for the service (another variable: --key-env; if the service "
            "asks for none, any word)"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise TableError(f"{name} does not hold a key: it has spaces, or letters that no key has")
    return key or None
