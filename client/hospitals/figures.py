"""Turns the figures of figures.json into probabilities to draw from.

Letters: S seasons, F findings (70, temperature among them), C classes (0 not influenza, 1 influenza),
V values (P, A, I, M: only temperature has an I), G age groups.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLASSES = ("negative", "influenza")
VALUES = ("P", "A", "I", "M")
SITES = ("allegheny", "salt-lake")
TEMPERATURE = "C0424781"


@dataclass(frozen=True)
class SiteFigures:
    """What one site's encounters are drawn from.

    Attributes
    ----------
    codes : tuple of str
        The F findings.
    prevalence : ndarray of float64, shape (S,)
        Share of influenza among the tested, by season.
    values : ndarray of float64, shape (C, F, V)
        Probability of each value; sums to 1 over V.
    ages : ndarray of float64, shape (C, G)
        Probability of each age group; sums to 1 over G.
    care, severity, age : ndarray of float64, shape (F,)
        How strongly each shared cause moves each finding: correlations with a standard normal.
    """

    codes: tuple[str, ...]
    prevalence: Array
    values: Array
    ages: Array
    care: Array
    severity: Array
    age: Array


@cache
def read_figures() -> dict[str, Any]:
    """Give figures.json; not to be changed, it is read once."""
    figures: dict[str, Any] = json.loads(Path(__file__).with_name("figures.json").read_text(encoding="utf-8"))
    return figures


def site_figures(site: str) -> SiteFigures:
    """Put together what the encounters of `site`, one of `SITES`, are drawn from."""
    figures = read_figures()
    findings, causes = figures["findings"], figures["shared_causes"]
    prevalence = np.array(figures["sites"][site]["prevalence"]["by_season"])
    return SiteFigures(
        codes=tuple(finding["code"] for finding in findings),
        prevalence=prevalence,
        values=np.stack([_values(finding, site) for finding in findings], axis=1),
        ages=_ages(site, float(prevalence.mean())),
        care=np.array([causes[finding["group"]]["care"] for finding in findings]),
        severity=np.array([causes[finding["group"]]["severity"] for finding in findings]),
        age=np.array([causes["age"][finding["leaning"]] for finding in findings]),
    )


def _values(finding: dict[str, Any], site: str) -> Array:
    """Probability of each value of one finding at one site, shape (C, V)."""
    if site in finding:
        return np.array([_tabulated(finding[site][label]) for label in CLASSES])
    charted, absence = read_figures()["sites"][site]["charted"][finding["group"]]
    if finding["code"] == TEMPERATURE:  # tabulated at the other site alone: the same in both classes here
        grades = charted * np.array([finding["network"][label] for label in CLASSES]).mean(axis=0)
        return np.array([[*grades, 1.0 - grades.sum()]] * len(CLASSES))
    present = charted * _present(finding, site)  # (C,)
    absent = absence * (1.0 - present / charted)
    return np.stack([present, absent, np.zeros_like(present), 1.0 - present - absent], axis=1)


def _tabulated(row: Sequence[float]) -> list[float]:
    """One published row as P, A, I, M; the rounding error of the row's sum goes to M."""
    present, absent, *grade = row[:-1]
    inconsequential = grade[0] if grade else 0.0
    return [present, absent, inconsequential, 1.0 - present - absent - inconsequential]


def _present(finding: dict[str, Any], site: str) -> Array:
    """Probability that the patient has the finding, charted or not, shape (C,)."""
    share = read_figures()["sites"][site]["presence_by_leaning"][finding["leaning"]]
    if "network" not in finding:
        return np.full(len(CLASSES), share * finding["present"])
    logits = np.array([_logit(finding["network"][label]) for label in CLASSES])
    # What the other site's network kept and this site's did not was not informative here.
    kept = 0.0 if any(other in finding for other in SITES) else read_figures()["contrast"]["value"]
    presence: Array = share / (1.0 + np.exp(-(logits.mean() + kept * (logits - logits.mean()))))
    return presence


def _ages(site: str, prevalence: float) -> Array:
    """Age groups by class, shape (C, G), such that the site's tested patients have the site's ages."""
    age, contrast = read_figures()["age"], read_figures()["contrast"]["value"]
    overall = np.array([read_figures()["sites"][site]["age"][group] for group in age["groups"]])
    ratio = np.array(age["network"]["influenza"]) / np.array(age["network"]["negative"])
    influenza = overall * ratio**contrast
    influenza /= influenza.sum()
    return np.stack([(overall - prevalence * influenza) / (1.0 - prevalence), influenza])


def _logit(share: float) -> float:
    return float(np.log(share / (1.0 - share)))
