"""A cohort and an embedding table made ready for training: rows of a table, and tensors of row numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from client.cohorts.cohort import Cohort, Split, read_cohort
from client.cohorts.tokens import Numbers
from client.compact import basis_of
from client.site_file import Site
from client.training import Encounters
from common.concepts import NONE, Token
from common.config import ONE_HOT
from common.embeddings import EmbeddingTable, Fingerprint, load_table, one_hot
from common.errors import TableError
from common.tasks import Embedding

SPLITS = ("train", "validation", "test")
_BLOCK = 1 << 16  # encounters whose tokens are looked at together: numpy makes indices of 8 bytes of them


@dataclass(frozen=True)
class Prepared:
    """What training needs of a site.

    Attributes
    ----------
    table : Tensor
        float32 (V, D), row 0 zeros.
    splits : dict of str to Encounters
        Of `SPLITS`.
    """

    table: Tensor
    splits: dict[str, Encounters]

    @property
    def length(self) -> int:
        """L, tokens of an encounter, padding included."""
        return self.splits["train"].tokens.shape[1]

    @cached_property
    def basis(self) -> Tensor | None:
        """An orthonormal basis of the table's rows, see `client.compact`."""
        return basis_of(self.table)


def open_table(site: Site, embedding: Embedding) -> EmbeddingTable:
    """Open the table that the federation calls `embedding.name` at this site.

    Raises
    ------
    TableError
        The site names no such table, or its file cannot be used.
    """
    if embedding.name == ONE_HOT:
        own = {token.name for token in site.vocabulary}
        names = embedding.vocabulary or tuple(own)
        if missing := own - set(names):  # all that the site declares: asking for some would tell which a patient has
            raise TableError(f"{site.path}: one-hot has no column for {len(missing)} of the site's {len(own)} tokens")
        return one_hot([Token(name, name) for name in names])
    if embedding.name not in site.tables:
        raise TableError(f"{site.path}: no table for embedding {embedding.name!r}; add it under [tables]")
    return load_table(site.tables[embedding.name])


def fingerprint(site: Site, embedding: Embedding) -> Fingerprint:
    """Give the fingerprint of the site's embedding space."""
    return open_table(site, embedding).fingerprint(embedding.normalisation, embedding.shown)


def prepare(site: Site, embedding: Embedding, whole: bool = False) -> Prepared:
    """Read a site's cohort and the rows of its table that the cohort uses.

    Parameters
    ----------
    whole : bool
        Take the rows of all tokens that the site declares, so that which rows there are does not tell who is there.

    Raises
    ------
    CohortError, TableError
        See `client.cohorts` and `common.embeddings`.
    """
    cohort = read_cohort(site, embedding.unknown)
    table = open_table(site, embedding)
    used = np.arange(len(cohort.vocabulary)) if whole else _used(cohort)
    if embedding.shown == NONE:  # absent findings are left as row 0, no token
        used = used[[cohort.vocabulary[index].denied is None for index in used]]
    # a token that no encounter has needs no row
    vectors = table.select([cohort.vocabulary[index] for index in used], embedding.normalisation, embedding.shown)
    place = np.zeros(len(cohort.vocabulary) + 1, dtype=cohort.train.tokens.dtype)
    place[used + 1] = np.arange(1, len(used) + 1)
    splits = {name: _encounters(getattr(cohort, name), place) for name in SPLITS}
    return Prepared(torch.from_numpy(vectors), splits)


def pool(parts: Sequence[Prepared]) -> Prepared:
    """Lay the encounters of several sites together, as no federation can; the ceiling of a simulation."""
    table = torch.cat([parts[0].table, *(part.table[1:] for part in parts[1:])])
    offsets = np.cumsum([0, *(len(part.table) - 1 for part in parts)])
    pieces = [_shift(part, int(offset)) for part, offset in zip(parts, offsets, strict=False)]
    return Prepared(table, {name: _join([piece[name] for piece in pieces]) for name in SPLITS})


def _used(cohort: Cohort) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the indices of the vocabulary that some encounter has."""
    seen = np.zeros(len(cohort.vocabulary) + 1, dtype=bool)
    for name in SPLITS:
        for block in _blocks(getattr(cohort, name).tokens):
            seen[block] = True
    return np.flatnonzero(seen[1:])


def _encounters(split: Split, place: Numbers) -> Encounters:
    """Put the table's rows in the place of the tokens: a second array may be as large as the site's memory allows."""
    for block in _blocks(split.tokens):
        block[...] = place[block]
    patients = None if split.patients is None else torch.from_numpy(split.patients)
    return Encounters(torch.from_numpy(split.tokens), torch.from_numpy(split.labels), patients)


def _blocks(tokens: Numbers) -> Iterator[Numbers]:
    """Give views of some encounters after the others."""
    for start in range(0, len(tokens), _BLOCK):
        yield tokens[start : start + _BLOCK]


def _shift(part: Prepared, offset: int) -> dict[str, Encounters]:
    return {
        name: Encounters(torch.where(split.tokens > 0, split.tokens.int() + offset, 0), split.labels, split.patients)
        for name, split in part.splits.items()
    }


def _join(splits: Sequence[Encounters]) -> Encounters:
    longest = max(split.tokens.shape[1] for split in splits)
    padded = [functional.pad(split.tokens, (0, longest - split.tokens.shape[1])) for split in splits]
    whose = [_whose(number, split) for number, split in enumerate(splits)]
    patients = None if all(split.patients is None for split in splits) else torch.cat(whose)
    return Encounters(torch.cat(padded), torch.cat([split.labels for split in splits]), patients)


def _whose(number: int, encounters: Encounters) -> Tensor:
    """Give the numbers of a site's patients; where it names none, of each encounter a number of its own."""
    if encounters.patients is not None:
        return encounters.patients
    return torch.arange(len(encounters)) + (number << 40)
