"""The figures of several classes or labels: each against the rest, and their plain means.

Letters: N encounters, Q questions (`common.outcome`), one for each class or label of which enough is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from client.refusals import DivergedError
from client.scored import Scored, curve_figures
from client.training import Encounters, Model, all_probabilities
from common.figures import CURVE, HITS, METRICS
from common.metrics import Estimate, Floats, Integers, score
from common.outcome import answers, told
from common.seeds import derive
from common.statistics.multiclass import several_labels
from common.tasks import Work

ASKED = tuple(name for name in METRICS if name not in HITS)  # what needs no threshold


@dataclass(frozen=True)
class Questions:
    """Answers and probabilities of one split, of the classes or labels that may be told of.

    Attributes
    ----------
    names : tuple of str
    yes : ndarray
        int64 (N, Q), 1 where an encounter has the class or label.
    chances : ndarray
        float64 (N, Q), the probability that it has.
    countable : bool
        Whether counts of them may leave: with all classes but a small one counted, that one would be, too.
    """

    names: tuple[str, ...]
    yes: Integers
    chances: Floats
    countable: bool

    def figures(self, replicates: int, seeds: Sequence[int]) -> dict[str, float]:
        """Give every figure under its name, ``rsv.auroc`` for a class and ``auroc`` for the mean.

        Parameters
        ----------
        replicates : int
            Of the bootstrap behind the classes' intervals; 0 gives none.
        seeds : sequence of int
            Of each class's bootstrap.
        """
        columns = zip(self.yes.T, self.chances.T, seeds, strict=True)
        each = [score(yes, chances, None, replicates, seed) for yes, chances, seed in columns]
        figures = _flat("", self._means(each, bool(replicates))) | {"n": float(len(self.yes))}
        for name, estimates in zip(self.names, each, strict=True):
            figures |= _flat(f"{name}.", estimates) | {f"{name}.n": float(len(self.yes))}
        if self.countable:
            figures |= {
                f"{name}.positive": float(count) for name, count in zip(self.names, self.yes.sum(0), strict=True)
            }
        return figures

    def curves(self, stem: str, min_cell: int) -> dict[str, float]:
        """Give each class's counts by ranges of probability."""
        figures: dict[str, float] = {}
        for name, yes, chances in zip(self.names, self.yes.T, self.chances.T, strict=True) if self.countable else ():
            figures |= curve_figures(f"{stem}.{name}", yes, chances, min_cell)
        return figures

    def _means(self, each: Sequence[Mapping[str, Estimate]], interval: bool) -> dict[str, Estimate]:
        """Give each metric's mean; AUROC's alone has an interval, by the classes' covariance (DeLong et al. 1988)."""
        means = {name: Estimate(float(np.mean([own[name].value for own in each]))) for name in ASKED}
        if interval:
            area = several_labels(self.yes, self.chances).macro_auroc
            means["auroc"] = Estimate(means["auroc"].value, area.low, area.high)
        return means


def questions_of(model: Model, encounters: Encounters, min_cell: int) -> Questions:
    """Ask a model about encounters.

    Raises
    ------
    DivergedError
        Its probabilities are not finite.
    """
    shape, labels = model.shape, encounters.labels.numpy()
    yes, chances = answers(shape, labels), all_probabilities(model, encounters)
    if not np.isfinite(chances).all():
        raise DivergedError("the model's probabilities are not finite")
    asked = told(yes, min_cell)
    rest = 0 if shape.labels else len(yes) - int(yes[:, asked].sum())
    countable = not 0 < rest < min_cell
    return Questions(tuple(shape.names[q] for q in asked), yes[:, asked], chances[:, asked], countable)


def score_questions(
    model: Model, task: Work, splits: Mapping[str, Encounters], site: str, min_cell: int, prefix: str
) -> Scored:
    """Score a model on the splits that a task names.

    A class or label with fewer than `min_cell` encounters that have it, or that have it not, is told nothing of and is
    in no mean.
    """
    scored = Scored()
    for split in task.score:
        asked, test = questions_of(model, splits[split], min_cell), split == "test"
        if not asked.names:
            scored.suppressed |= {*ASKED, CURVE} if test else {*ASKED}
            continue
        seeds = [derive(task.seed, "bootstrap", site, split, name) for name in asked.names]
        figures = asked.figures(task.intervals if test else 0, seeds)  # validation is for choosing
        scored.figures |= {f"{prefix}{split}.{name}": value for name, value in figures.items()}
        if test:
            scored.figures |= asked.curves(split, min_cell)
            scored.suppressed |= set() if asked.countable else {CURVE}
    return scored


def _flat(stem: str, estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Give values and ends of intervals by name; what does not exist (a slope of separable data) is left out."""
    figures: dict[str, float] = {}
    for name, estimate in estimates.items():
        figures |= {
            f"{stem}{name}": estimate.value,
            f"{stem}{name}.low": estimate.low,
            f"{stem}{name}.high": estimate.high,
        }
    return {name: value for name, value in figures.items() if math.isfinite(value)}
