"""How far each source's update goes, and how far it lies from the others': names a site that is broken or lies."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.tasks import Answer
from common.wire import Flat
from server.exchange import Errand

Bound = float | Literal["median"] | None
Floats = NDArray[np.float64]

COLUMNS = ["embedding", "seed", "phase", "round", "site", "change", "from_others", "used"]
FAR = 3.0  # times the others' distance: a site of another distribution is at 1 to 2 (docs/hostility.md)
_BLOCK = 1 << 14  # weights looked at together, so that a thousand sites need no second copy of all their weights


@dataclass(frozen=True)
class Look:
    """One source's update beside the others'.

    Attributes
    ----------
    change : float
        Euclidean norm of what the site sent less what it was sent.
    from_others : float
        Its distance from the median of all updates, coordinate by coordinate, over the median of the others' distances
        from there; NaN with fewer than three sources, of which none can be told to be the odd one.
    used : float
        The share of the change that is used: below 1 where it was longer than the bound.
    """

    change: float
    from_others: float
    used: float


def look(updates: Mapping[str, Flat], bound: Bound) -> dict[str, Look]:
    """Measure the updates of one round.

    Parameters
    ----------
    updates : mapping of str to Flat
        What each site sent less what it was sent, float32 of one length.
    bound : float, "median" or None
        The longest change that is used whole; "median": that of the sites in the middle.
    """
    changes = {site: float(np.linalg.norm(update.astype(np.float64))) for site, update in updates.items()}
    apart = _from_others(updates)
    most = float(np.median(list(changes.values()))) if bound == "median" else bound
    return {
        site: Look(change, apart[site], 1.0 if most is None or change <= most else most / change)
        for site, change in changes.items()
    }


def _from_others(updates: Mapping[str, Flat]) -> dict[str, float]:
    """Give each site's `Look.from_others`."""
    if len(updates) < 3:
        return dict.fromkeys(updates, math.nan)
    squares = np.zeros(len(updates))
    for start in range(0, len(next(iter(updates.values()))), _BLOCK):
        block = np.stack([update[start : start + _BLOCK] for update in updates.values()]).astype(np.float64)
        squares += ((block - np.median(block, axis=0)) ** 2).sum(axis=1)
    distances = np.sqrt(squares)
    return {site: _ratio(distances, place) for place, site in enumerate(updates)}


def _ratio(distances: Floats, place: int) -> float:
    usual = float(np.median(np.delete(distances, place)))
    own = float(distances[place])
    return own / usual if usual else (1.0 if own == 0 else math.inf)


class Updates:
    """The file updates.csv of a run: a line for each update of a source; tells of one that lies far from the others.

    Parameters
    ----------
    path : Path
        Begun anew: a resumed run comes by all its rounds again, from its journal.
    bound : float, "median" or None
        See `look`.
    tell : callable
        Told in a line.
    """

    def __init__(self, path: Path, bound: Bound, tell: Callable[[str], None]) -> None:
        self.path, self.bound, self.tell = path, bound, tell
        self.seen: dict[str, list[float]] = {}  # by site, `Look.from_others` of every round
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)

    def bounded(self, answers: Mapping[str, Answer], sent: Mapping[str, Flat], errand: Errand) -> dict[str, Answer]:
        """Note one round's updates, and give the answers with those in it that were too long cut to the bound.

        Cutting keeps the direction: a change is scaled down (Sun et al. 2019, arXiv 1911.07963).

        Parameters
        ----------
        answers : mapping of str to Answer
            Checked, with one array each.
        sent : mapping of str to Flat
            The weights that each began the round with.
        """
        updates = {site: _array(answer) - sent[site] for site, answer in answers.items()}
        looks = look(updates, self.bound)
        self._note(errand, looks)
        shares = {site: np.float32(one.used) for site, one in looks.items()}
        return {
            site: answer if shares[site] == 1 else _with(answer, sent[site] + shares[site] * updates[site])
            for site, answer in answers.items()
        }

    def _note(self, errand: Errand, looks: Mapping[str, Look]) -> None:
        about = (errand.embedding, errand.seed, errand.phase, errand.round)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            for site, one in looks.items():
                beside = "" if math.isnan(one.from_others) else f"{one.from_others:.3g}"
                lines.writerow([*about, site, f"{one.change:.6g}", beside, f"{one.used:.6g}"])
        for site, one in looks.items():
            before = self.seen.setdefault(site, [])
            if one.from_others > FAR and not (before and before[-1] > FAR):  # said once, until it is near again
                self.tell(f"{errand}: {site} sent weights {_times(one.from_others)} as far from the others' as usual")
            before.append(one.from_others)

    @property
    def far(self) -> list[str]:
        """Name those who were far from the others, with how often and how far, in a line each."""
        found = {site: [one for one in ratios if one > FAR] for site, ratios in self.seen.items()}
        return [
            f"{site}: in {len(ratios)} of {len(self.seen[site])} rounds, at most {_times(max(ratios))} as far as usual"
            for site, ratios in found.items()
            if ratios
        ]


def _times(ratio: float) -> str:
    return "infinitely" if math.isinf(ratio) else f"{ratio:,.1f} times"


def _array(answer: Answer) -> Flat:
    return next(iter(answer.arrays.values())).astype(np.float32, copy=False)


def _with(answer: Answer, values: Flat) -> Answer:
    (name,) = answer.arrays
    return replace(answer, arrays={name: values.astype(np.float32)})
