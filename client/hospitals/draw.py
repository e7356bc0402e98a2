"""Draws the encounters of one site.

Within its class, each value of a finding has exactly the probability that the figures give it. Findings are not
independent given the class: how thoroughly a patient was charted, how ill and how old the patient is are shared by
all findings of an encounter (a Gaussian copula), so that seventy weak hints do not add up to certainty.

Letters as in `figures`, and N encounters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from client.hospitals.figures import TEMPERATURE, VALUES, Array, SiteFigures, read_figures

CHUNK = 20_000  # encounters drawn at a time: bounds the memory
NOT_MENTIONED = VALUES.index("M")


@dataclass(frozen=True)
class Encounters:
    """Drawn encounters of one site.

    Attributes
    ----------
    values : ndarray of int8, shape (N, F)
        Index into `VALUES` of each finding.
    age_group : ndarray of int8, shape (N,)
        Index into the age groups of figures.json.
    years : ndarray of int16, shape (N,)
        Age in completed years, inside the age group.
    tenths : ndarray of int16, shape (N,)
        Highest temperature in tenths of a degree Fahrenheit, inside its grade; -1 where none was measured.
    season : ndarray of int8, shape (N,)
        Index into the seasons; later encounters have later seasons.
    influenza : ndarray of int8, shape (N,)
        1 or 0.
    """

    values: NDArray[np.int8]
    age_group: NDArray[np.int8]
    years: NDArray[np.int16]
    tenths: NDArray[np.int16]
    season: NDArray[np.int8]
    influenza: NDArray[np.int8]


def draw(figures: SiteFigures, encounters: int, rng: np.random.Generator) -> Encounters:
    """Draw `encounters` encounters of the site that `figures` describes."""
    season = (np.arange(encounters) * len(figures.prevalence) // encounters).astype(np.int8)
    influenza = _labels(season, figures.prevalence, rng)
    parts = [_draw_chunk(figures, influenza[start : start + CHUNK], rng) for start in range(0, encounters, CHUNK)]
    values, age_group, years, tenths = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Encounters(values, age_group, years, tenths, season, influenza)


def _labels(season: NDArray[np.int8], prevalence: Array, rng: np.random.Generator) -> NDArray[np.int8]:
    """Give each season its share of influenza, rounded, at shuffled places: small cohorts keep both classes."""
    influenza = np.zeros(len(season), np.int8)
    for index, share in enumerate(prevalence):
        rows = np.flatnonzero(season == index)
        influenza[rng.permutation(rows)[: round(share * len(rows))]] = 1
    return influenza


def _draw_chunk(
    figures: SiteFigures, influenza: NDArray[np.int8], rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int16], NDArray[np.int16]]:
    care, severity, age = rng.standard_normal((3, len(influenza)), dtype=np.float32)
    values = np.empty((len(influenza), len(figures.codes)), np.int8)
    age_group = np.empty(len(influenza), np.int8)
    for label in (0, 1):
        rows = np.flatnonzero(influenza == label)
        values[rows] = _values(figures, label, care[rows], severity[rows], age[rows], rng)
        age_group[rows] = np.searchsorted(ndtri(np.cumsum(figures.ages[label])[:-1]), age[rows], side="right")
    temperature = values[:, figures.codes.index(TEMPERATURE)]
    return values, age_group, _years(age_group, rng), _tenths(temperature, rng)


def _values(
    figures: SiteFigures,
    label: int,
    care: NDArray[np.float32],
    severity: NDArray[np.float32],
    age: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.int8]:
    """Values of all findings of one class's encounters, shape (N, F): mentioned or not, then which value."""
    shape = (len(care), len(figures.codes))
    probability = figures.values[label]  # (F, V)
    mentioned = 1.0 - probability[:, NOT_MENTIONED]  # (F,)
    upto = np.cumsum(probability[:, :2], axis=1) / np.maximum(mentioned, 1e-12)[:, None]  # (F, 2): P, then P or A
    cuts = ndtri(np.clip(upto, 0.0, 1.0)).astype(np.float32)

    own = rng.standard_normal(shape, dtype=np.float32)
    charting = _mix(own, (care, figures.care))
    own = rng.standard_normal(shape, dtype=np.float32)
    # Low is present: the iller the patient, the likelier the finding. Older patients have more of what leans to adults.
    state = _mix(own, (-severity, figures.severity), (-age, figures.age))
    drawn: NDArray[np.int8] = (state >= cuts[:, 0]).astype(np.int8) + (state >= cuts[:, 1]).astype(np.int8)
    drawn[charting >= ndtri(mentioned).astype(np.float32)] = NOT_MENTIONED
    return drawn


def _mix(own: NDArray[np.float32], *causes: tuple[NDArray[np.float32], Array]) -> NDArray[np.float32]:
    """Give standard normals, shape (N, F), that share the causes (N,) to the degree of their loadings (F,)."""
    left = np.sqrt(1.0 - sum(loading**2 for _, loading in causes)).astype(np.float32)
    mixed: NDArray[np.float32] = own * left
    for cause, loading in causes:
        mixed += cause[:, None] * loading.astype(np.float32)
    return mixed


def _years(age_group: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int16]:
    """Ages spread evenly over the years of their group."""
    bounds = np.array(read_figures()["age"]["years"], np.int16)[age_group]  # (N, 2)
    return rng.integers(bounds[:, 0], bounds[:, 1], endpoint=True, dtype=np.int16)


def _tenths(grade: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int16]:
    """Temperatures spread evenly over the tenths of their grade."""
    bounds = np.array(read_figures()["temperature_tenths_fahrenheit"], np.int16)[grade]  # (N, 2)
    return rng.integers(bounds[:, 0], bounds[:, 1], endpoint=True, dtype=np.int16)
