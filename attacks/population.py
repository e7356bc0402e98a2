"""A site's encounters as a population, from which sites are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.cohorts.cohort import number_tokens, read_cohort
from client.preparation import SPLITS, prepare
from client.site_file import Site
from client.training import Encounters
from common.concepts import ABSENT, PRESENT
from common.errors import ConfigError
from common.tasks import Embedding

Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Column:
    """A column of an encounter.

    Attributes
    ----------
    code : str
        Of its concept.
    numbers, rows : dict of str to int
        Of each value that some encounter has and that is a token: its number in `Population.values`, and its row in the
        table, where 0 is left out of every encounter.
    """

    code: str
    numbers: dict[str, int]
    rows: dict[str, int]


@dataclass(frozen=True)
class Population:
    """Every encounter of a site, whatever its part.

    Attributes
    ----------
    table : Tensor
        float32 (V, D), row 0 zeros.
    values : ndarray
        Whole numbers (N, L), the number of each value, 0 for none; see `client.cohorts.cohort.number_tokens`.
    held : float
        Of the encounters to train and to validate with, the share that validates.
    """

    site: Site
    table: Tensor
    basis: Tensor | None
    encounters: Encounters
    values: NDArray[np.integer]
    columns: list[Column]
    held: float

    def __len__(self) -> int:
        return len(self.encounters)

    def find(self, code: str | None) -> int:
        """Give the place of a finding's column; without a code, of the one that is nearest to half and half.

        Raises
        ------
        ConfigError
            No finding is called so, or none differs between encounters.
        """
        both = {PRESENT, ABSENT}
        able = {
            column.code: place
            for place, (column, source) in enumerate(zip(self.columns, self.site.sources, strict=True))
            if both <= column.numbers.keys() and not source.concept.values
        }
        if not able or code not in {None, *able}:
            called = "" if code is None else f" {code!r}"
            raise ConfigError(f"{self.site.path}: no finding{called} that some encounters have and others do not")
        if code is not None:
            return able[code]
        return min(able.values(), key=lambda place: abs(float(self.having(place, PRESENT).mean()) - 0.5))

    def having(self, place: int, value: str) -> Bools:
        """Say which encounters have a value of a column, bool (N,)."""
        return np.asarray(self.values[:, place] == self.columns[place].numbers[value])


def read_population(site: Site, embedding: Embedding, whole: bool = False) -> Population:
    """Read a site's encounters.

    Parameters
    ----------
    whole : bool
        See `client.preparation.prepare`.

    Raises
    ------
    CohortError, TableError
        They cannot be read, or the site's table does not cover them.
    """
    cohort = read_cohort(site, embedding.unknown)  # `prepare` puts rows in the place of its tokens
    values = np.concatenate([getattr(cohort, name).tokens for name in SPLITS])
    data = prepare(site, embedding, whole)
    parts = [data.splits[name] for name in SPLITS]
    known = [part.patients for part in parts if part.patients is not None]
    encounters = Encounters(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat(known) if known else None,
    )
    train, held = len(data.splits["train"]), len(data.splits["validation"])
    columns = _columns(site, embedding, values, encounters.tokens.numpy())
    return Population(site, data.table, data.basis, encounters, values, columns, held / (train + held))


def _columns(
    site: Site, embedding: Embedding, values: NDArray[np.integer], tokens: NDArray[np.integer]
) -> list[Column]:
    """Find the row of each value in the encounters that have it."""
    columns = []
    known = number_tokens(site.sources, embedding.unknown)[1]
    for place, (source, own) in enumerate(zip(site.sources, known, strict=True)):
        numbers, first = np.unique(values[:, place], return_index=True)
        rows = dict(zip(numbers.tolist(), tokens[first, place].tolist(), strict=True))
        seen = {value: number for value, number in own.items() if number in rows and number > 0}
        columns.append(Column(source.concept.code, seen, {value: rows[number] for value, number in seen.items()}))
    return columns
