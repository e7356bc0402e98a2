"""The figures of a cell, seed by seed, and what is kept of its scores for intervals and comparisons.

Letters: S seeds, N test encounters, Q questions (`common.outcome`), T of them told: with enough encounters of either
answer to be in the means, as in a single run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.questions import ASKED, Questions
from common.figures import METRICS
from common.metrics import Estimate, Floats, Integers, score
from common.outcome import answers, told
from common.shape import ModelShape
from common.statistics.delong import Areas, areas
from common.statistics.multiclass import macro_areas

Row = dict[str, object]


@dataclass(frozen=True)
class Tested:
    """The test encounters of a target.

    Attributes
    ----------
    names : tuple of str
        Of all classes or labels; none of two classes.
    yes : ndarray
        int64 (N, Q), the answers.
    told : list of int
        Positions of the questions that are in the means; of two classes the one that there is.
    """

    names: tuple[str, ...]
    yes: Integers
    told: list[int]

    @classmethod
    def of(cls, shape: ModelShape, labels: Integers, min_cell: int) -> Tested:
        """Look at labels as `common.outcome.loss` takes them."""
        yes = answers(shape, labels)
        return cls((), yes, [0]) if shape.binary else cls(shape.names, yes, told(yes, min_cell))

    def kept(self, target: str) -> dict[str, NDArray[Any]]:
        """Give the arrays that go with every cell's scores: int8 labels (N,), of several (N, T) with the T names."""
        if not self.names:
            return {f"{target}|labels": self.yes[:, 0].astype(np.int8)}
        names = np.array([self.names[q] for q in self.told], dtype=np.str_)
        return {f"{target}|labels": self.yes[:, self.told].astype(np.int8), f"{target}|names": names}

    def scores(self, chances: Floats) -> NDArray[np.float32]:
        """Give what is kept of chances (S, N, Q): float32 (S, N), of several classes or labels (S, N, T)."""
        return (chances[:, :, self.told] if self.names else chances[:, :, 0]).astype(np.float32)

    def scored(self, chances: Floats, thresholds: Sequence[float | None]) -> Iterator[tuple[Row, list[Row]]]:
        """Score each seed's model; give its figures, and those of each class or label against the rest.

        AUROC, of several their mean, has DeLong's interval over the encounters. A class of few has its counts alone.
        """
        labels = self.yes[:, self.told] if self.names else self.yes[:, 0]
        scores = chances[:, :, self.told] if self.names else chances[:, :, 0]
        intervals = areas_of(labels, scores).estimates()
        for own, at, interval in zip(chances, thresholds, intervals, strict=True):
            found = self._several(own) if self.names else _values(score(self.yes[:, 0], own[:, 0], at))
            counts = {"n": len(self.yes), "positive": None if self.names else int(self.yes.sum())}
            ends = {"auroc_low": interval.low, "auroc_high": interval.high}
            yield {**counts, **{name: found.get(name) for name in METRICS}, **ends}, self._classes(found)

    def _several(self, own: Floats) -> Mapping[str, float]:
        """Give the figures of those told and their means, as a site gives them."""
        if not self.told:
            return {}
        names = tuple(self.names[q] for q in self.told)
        return Questions(names, self.yes[:, self.told], own[:, self.told], True).figures(0, [0] * len(names))

    def _classes(self, found: Mapping[str, float]) -> list[Row]:
        counts = zip(self.names, self.yes.sum(axis=0), strict=False)  # of two classes there are no names
        return [
            {"class": name, "n": len(self.yes), "positive": int(count)}
            | {metric: found.get(f"{name}.{metric}") for metric in ASKED}
            for name, count in counts
        ]


def areas_of(labels: Integers, scores: Floats) -> Areas:
    """Give the AUROC of models, a row to each, from what is kept of them; of several classes or labels their mean.

    Parameters
    ----------
    labels : ndarray
        int (N,), or (N, T) of several.
    scores : ndarray
        float64 (S, N), or (S, N, T).
    """
    return areas(labels, scores) if labels.ndim == 1 else macro_areas(labels, scores)


def _values(found: Mapping[str, Estimate]) -> dict[str, float]:
    return {name: estimate.value for name, estimate in found.items()}
