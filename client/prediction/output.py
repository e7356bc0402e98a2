"""Writes scores as CSV, row by row, and puts the file in its place when it is whole."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from client.prediction.scoring import Scored
from common.files import PRIVATE


def header(first: str, concepts: int) -> list[str]:
    """Name the columns; `first` is that of the encounter."""
    shown = [f"{word}_{rank}" for rank in range(1, concepts + 1) for word in ("concept", "contribution")]
    return [first, "probability", "called", "bias", *shown, "others"]


def lines(
    scored: Scored, names: Sequence[object], texts: Sequence[str], threshold: float | None, concepts: int
) -> Iterator[list[object]]:
    """Give the cells of each encounter; `bias`, all contributions and `others` add up to the logit."""
    strongest = np.argsort(-np.abs(scored.contributions), axis=1, kind="stable")[:, :concepts]
    for i, name in enumerate(names):
        probability, own = scored.probabilities[i], scored.contributions[i]
        called = "" if threshold is None else int(probability >= threshold)
        shown: list[object] = []
        for column in strongest[i]:
            told = own[column] != 0
            shown += [texts[scored.rows[i, column]], _number(own[column])] if told else ["", ""]
        shown += [""] * (2 * concepts - len(shown))
        others = own.sum() - own[strongest[i]].sum()
        yield [name, f"{probability:.9f}", called, _number(scored.bias), *shown, _number(others)]


def _number(value: float) -> str:
    return f"{round(float(value), 6) + 0.0:.6f}"  # never -0.000000


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Open a file beside `path` and rename it over `path` at the end; only this user may read it.

    Whatever goes wrong before, there is no file, or the one of before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            os.fchmod(file.fileno(), PRIVATE)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_rows(file: IO[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows of cells."""
    csv.writer(file, lineterminator="\n").writerows(rows)
