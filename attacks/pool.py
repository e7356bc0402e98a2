"""Simulated sites: a pool of twice a site's encounters, of which each model's site has a random half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from attacks.population import Bools, Places, Population
from client.training import Encounters
from common.seeds import derive

MOST = 10_000


@dataclass(frozen=True)
class Pool:
    """The encounters of which an attack must say whether a site had them, and the sites.

    Attributes
    ----------
    places : ndarray
        int64 (N,), in the population; N is twice the encounters of a site.
    rest : ndarray
        int64, places of encounters that are in no site, `MOST` at the most.
    trained, held : ndarray
        bool (M, N), which encounters the site of each model trained on, and which it chose among candidates by. Every
        site has the same number of each class.
    """

    population: Population
    places: Places
    rest: Places
    trained: Bools
    held: Bools

    @property
    def encounters(self) -> Encounters:
        """The pool's encounters."""
        return some(self.population.encounters, self.places)

    @property
    def labels(self) -> Places:
        """Their labels, int64 (N,)."""
        return np.asarray(self.population.encounters.labels.numpy()[self.places])

    def of_site(self, k: int, mine: Bools) -> Encounters:
        """Give the encounters of one model's site that are among `mine`, `trained` or `held`."""
        return some(self.population.encounters, self.places[mine[k]])


def draw(population: Population, size: int, models: int, seed: int) -> Pool:
    """Draw a pool and its sites.

    Parameters
    ----------
    size : int
        Encounters of a site, at most half of the population's.
    models : int
        M.
    """
    generator = np.random.default_rng(derive(seed, "pool", population.site.name, size))
    shuffled = [generator.permutation(own) for own in _classes(population)]
    places = [own[: 2 * n] for own, n in zip(shuffled, counts(population, size), strict=True)]
    pool, rest = np.concatenate(places), np.concatenate(shuffled)
    rest = generator.permutation(rest[~np.isin(rest, pool)])[:MOST]
    trained, held = np.zeros((models, len(pool)), dtype=bool), np.zeros((models, len(pool)), dtype=bool)
    for k in range(models):
        start = 0
        for own in places:
            drawn = start + generator.permutation(len(own))[: len(own) // 2]
            learn = len(drawn) - round(len(drawn) * population.held)
            trained[k, drawn[:learn]], held[k, drawn[learn:]] = True, True
            start += len(own)
    return Pool(population, pool, rest, trained, held)


def counts(population: Population, size: int) -> list[int]:
    """Give how many negatives and positives a site of so many encounters has, in the population's proportion."""
    negative, positive = (len(own) for own in _classes(population))
    positives = min(max(round(size * positive / (negative + positive)), 1), positive // 2)
    return [min(size - positives, negative // 2), positives]


def _classes(population: Population) -> list[Places]:
    labels = population.encounters.labels.numpy()
    return [np.flatnonzero(labels == label) for label in (0, 1)]


def some(encounters: Encounters, places: Sequence[int] | Places) -> Encounters:
    """Give some encounters."""
    chosen = torch.as_tensor(np.asarray(places))
    patients = None if encounters.patients is None else encounters.patients[chosen]
    return Encounters(encounters.tokens[chosen], encounters.labels[chosen], patients)
