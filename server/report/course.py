"""How training went, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd
from markupsafe import Markup

from common.strategies import POOLED, SOURCE
from server.report.folder import RESULTS, ROUNDS, records
from server.report.style import legend, styles
from server.report.svg import Plot, Scale, spanning
from server.report.trace import Row, Table, figure, titled, where

SCORE, WEIGHT = "validation_auroc", "validation_n"  # of the model that came with a round's message, if noted


@dataclass(frozen=True)
class Training:
    """One training over rounds.

    Attributes
    ----------
    embedding, seed, phase
    sources : tuple of str
        The sites that were asked, in order.
    first, last : int
        Lines of rounds.csv that tell of it, from 0.
    rounds : int
        How many there were: fewer than configured where patience ran out.
    scores : list of float
        AUROC on the sources' validation encounters after each round but the last, as far as noted.
    """

    embedding: str
    seed: int
    phase: str
    sources: tuple[str, ...]
    first: int
    last: int
    rounds: int
    scores: list[float]


def trainings(rounds: pd.DataFrame) -> list[Training]:
    """Take the trainings out of rounds.csv: a first round begins one, of the sites that are asked then."""
    found: list[Training] = []
    numbered = list(enumerate(records(rounds)))
    for (embedding, seed, phase, number), lines in groupby(numbered, key=_errand):
        if number == 0:
            continue
        here = list(lines)
        sources, first, last = tuple(str(row["site"]) for _, row in here), here[0][0], here[-1][0]
        if number > 1 and found:
            before = found.pop()
            sources, first = before.sources, before.first
            scores = [*before.scores, _weighted([row for _, row in here])]
        else:
            scores = []
        found.append(Training(embedding, seed, phase, sources, first, last, number, scores))
    return found


def training_table(found: Sequence[Training], results: pd.DataFrame, over: str = "") -> Table:
    """Say how many rounds each training took, and how the model that was kept does on validation encounters.

    `over` as in `RunFolder`.
    """
    seeds = list(dict.fromkeys(each.seed for each in found))
    rows = []
    for (embedding, phase, sources), group in _by_model(found):
        of_seed = {each.seed: each for each in group}
        cells = [_rounds(of_seed.get(seed)) for seed in seeds]
        rows.append(Row([embedding, _learners(phase, sources), _at_home(results, embedding, phase, sources), *cells]))
    score = f"{titled('validation AUROC', over)}, kept model"
    headings = ["embedding", "learnt at", score, *(f"rounds, seed {seed}" for seed in seeds)]
    return Table("How many rounds, until the configured number or until patience ran out", headings, rows, 3)


def round_plots(found: Sequence[Training]) -> tuple[Markup, list[tuple[str, Markup]]]:
    """Draw the score after each round, one panel a model, one line a seed; none where none was noted."""
    scores = [score for each in found for score in each.scores if score == score]
    if not scores:
        return Markup(""), []
    looks = styles([f"seed {seed}" for seed in dict.fromkeys(each.seed for each in found)])
    longest = max(len(each.scores) for each in found)
    panels = []
    for (embedding, phase, sources), group in _by_model(found):
        x, y = Scale(0.5, longest + 0.5, 44, 330), spanning(scores, 160, 10)
        plot = Plot(x, y, 340, 196, f"validation AUROC by round, {_learners(phase, sources)}")
        plot.frame("round", "validation AUROC")
        for place, each in enumerate(group):
            look = looks[f"seed {each.seed}"]
            plot.line([(number + 1.0, score) for number, score in enumerate(each.scores)], look, place)
        panels.append((f"{embedding}, {_learners(phase, sources)}", plot.svg()))
    return legend(looks), panels


def _errand(numbered: tuple[int, dict[str, Any]]) -> tuple[str, int, str, int]:
    row = numbered[1]
    return str(row["embedding"]), int(row["seed"]), str(row["phase"]), int(row["round"])


def _weighted(rows: Sequence[dict[str, Any]]) -> float:
    """Give the mean score of the model that came, weighted by encounters, as the coordinator chooses by it."""
    known = [(row[SCORE], row.get(WEIGHT, 1)) for row in rows if SCORE in row and row[SCORE] == row[SCORE]]
    total = sum(weight for _, weight in known)
    return sum(score * weight for score, weight in known) / total if total else float("nan")


def _by_model(found: Sequence[Training]) -> Iterator[tuple[tuple[str, str, tuple[str, ...]], list[Training]]]:
    keys = dict.fromkeys((each.embedding, each.phase, each.sources) for each in found)
    for key in keys:
        yield key, [each for each in found if (each.embedding, each.phase, each.sources) == key]


def _learners(phase: str, sources: tuple[str, ...]) -> str:
    return "all sites in one place" if phase == POOLED else ", ".join(sources)


def _rounds(training: Training | None) -> Markup:
    if training is None:
        return Markup("")
    return figure(training.rounds, "round", "max", 0, f"lines={training.first}-{training.last}", ROUNDS)


def _at_home(results: pd.DataFrame, embedding: str, phase: str, sources: tuple[str, ...]) -> str:
    """Give the kept model's validation AUROC at each source, mean over seeds."""
    said = []
    for site in sources if phase == SOURCE else ():
        chosen = {"embedding": embedding, "strategy": SOURCE, "sources": "+".join(sources), "site": site}
        chosen["split"] = "validation"
        rows = results[(results[list(chosen)] == pd.Series(chosen)).all(axis=1)]["auroc"].astype("float64")
        text = figure(rows.mean(skipna=False), "auroc", "mean", row=where(**chosen), file=RESULTS) or "not told"
        said.append(Markup("{} {}").format(site, text) if len(sources) > 1 else text)
    return Markup(", ").join(said)
