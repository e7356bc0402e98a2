"""Writes down, round by round, who contributed with how many encounters, and who was missing."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.figures import WEIGHT
from common.tasks import Answer
from server.exchange import Errand

_CAME = {"validation_auroc": "came.validation.auroc", "validation_n": "came.validation.n"}  # of what came with a round
COLUMNS = ["embedding", "seed", "phase", "round", "site", "contributed", "encounters", "why_not", *_CAME]


class Attendance:
    """The file rounds.csv of a run: a line for each site that was asked something.

    Parameters
    ----------
    path : Path
        Begun anew: a resumed run comes by all its rounds again, from its journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)

    def note(
        self, errand: Errand, asked: Sequence[str], answers: Mapping[str, Answer], failed: Mapping[str, str]
    ) -> None:
        """Note one round."""
        about = (errand.embedding, errand.seed, errand.phase, errand.round)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            for site in asked:
                here = site in answers
                encounters = _encounters(answers[site]) if here else ""
                figures = answers[site].figures if here else {}
                came = [figures.get(name, "") for name in _CAME.values()]
                lines.writerow([*about, site, "yes" if here else "no", encounters, failed.get(site, ""), *came])


def _encounters(answer: Answer) -> int | str:
    """Give on how many encounters an answer rests: trained on, or else scored; empty where it keeps back."""
    counts = [answer.figures[name] for name in (WEIGHT, "test.n", "validation.n") if name in answer.figures]
    return int(counts[0]) if counts else ""
