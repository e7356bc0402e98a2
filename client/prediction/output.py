"""Writes scores as CSV, row by row, and puts the file in its place when it is whole."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from client.prediction.scoring import Scored
from common.files import PRIVATE
from common.shape import ModelShape


@dataclass(frozen=True)
class Layout:
    """How scores are written.

    Attributes
    ----------
    shape : ModelShape
        Of the models: what is predicted.
    threshold : float or None
        Probability from which on an encounter is called positive; of two classes only.
    concepts : int
        How many are shown.
    """

    shape: ModelShape
    threshold: float | None
    concepts: int

    def header(self, first: str) -> list[str]:
        """Name the columns; `first` is that of the encounter."""
        told = ["probability", "called"]
        if not self.shape.binary:
            likely = ["class"] if self.shape.labels is None else []
            told = [*(f"probability_{name}" for name in self.shape.names), *likely, "explained"]
        shown = [f"{word}_{rank}" for rank in range(1, self.concepts + 1) for word in ("concept", "contribution")]
        return [first, *told, "bias", *shown, "others"]

    def lines(self, scored: Scored, names: Sequence[object], texts: Sequence[str]) -> Iterator[list[object]]:
        """Give the cells of each encounter; `bias`, all contributions and `others` add up to the logit."""
        strongest = np.argsort(-np.abs(scored.contributions), axis=1, kind="stable")[:, : self.concepts]
        for i, name in enumerate(names):
            own = scored.contributions[i]
            shown: list[object] = []
            for column in strongest[i]:
                told = own[column] != 0
                shown += [texts[scored.rows[i, column]], _number(own[column])] if told else ["", ""]
            shown += [""] * (2 * self.concepts - len(shown))
            others = own.sum() - own[strongest[i]].sum()
            yield [name, *self._told(scored, i), _number(scored.bias[i]), *shown, _number(others)]

    def none(self) -> NDArray[np.int64]:
        """Give the tally of no encounter."""
        return np.zeros(self.shape.outputs, dtype=np.int64)

    def tally(self, scored: Scored) -> NDArray[np.int64]:
        """Count encounters by what they are called, or by their most probable class, int64 (C,); of labels none."""
        found = scored.probabilities.argmax(axis=1)
        if self.shape.binary:
            found = (scored.probabilities[:, 0] >= (self.threshold or 0)).astype(np.int64)
        return np.bincount(found[: None if self.shape.labels is None else 0], minlength=self.shape.outputs)

    def said(self, counts: NDArray[np.int64]) -> str:
        """Say what `tally` counted."""
        if self.shape.labels is not None:
            return f"a probability of each of {', '.join(self.shape.names)}"
        if not self.shape.binary:
            listed = zip(self.shape.names, counts.tolist(), strict=True)
            return f"most probable: {', '.join(f'{name} {count}' for name, count in listed)}"
        if self.threshold is None:
            return "none called: the run fixed no threshold"
        return f"{counts[1]} called positive from {self.threshold:g} on"

    def _told(self, scored: Scored, i: int) -> list[object]:
        """Give an encounter's probabilities, what it is called, and of several which one the next columns explain."""
        found = scored.probabilities[i]
        cells: list[object] = [f"{probability:.9f}" for probability in found]
        if self.shape.binary:
            return [*cells, "" if self.threshold is None else int(found[0] >= self.threshold)]
        likely = [self.shape.names[found.argmax()]] if self.shape.labels is None else []
        return [*cells, *likely, self.shape.names[scored.explained[i]]]


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
