"""New encounters: a file of the form of the site's own, without labels.

Letters: B encounters in a block, N encounters, L concepts, K different cells of a column, V rows of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.cohorts.cells import Fault, Table, note
from client.cohorts.cohort import number_tokens
from client.cohorts.encounters import read_available, take_where
from client.cohorts.reader import read_header
from client.cohorts.tokens import find_numbers, token_blocks
from client.cohorts.wanted import Wanted, find_wanted
from client.site_file import Site
from common.concepts import NONE, Token
from common.errors import CohortError, Problems
from common.tasks import Embedding


@dataclass(frozen=True, eq=False)
class NewEncounters:
    """Encounters to be scored.

    Attributes
    ----------
    table : Table
        Their rows.
    vocabulary : tuple of Token
        Every token that one may hold.
    columns : tuple of str (L,)
        Of each concept.
    numbers : list of int64 arrays (K,)
        For each concept, the number of the token that each of its column's cells stands for; 0 is none.
    left_out : int
        Rows that ``cohort.where`` left out.
    not_applied : tuple of str
        Columns of ``cohort.where`` that the file does not have.
    """

    table: Table
    vocabulary: tuple[Token, ...]
    columns: tuple[str, ...]
    numbers: list[NDArray[np.int64]]
    left_out: int
    not_applied: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.table)

    def used(self, embedding: Embedding) -> NDArray[np.int64]:
        """Give the numbers of the tokens that some encounter has and the model is shown, in order."""
        seen = np.zeros(len(self.vocabulary) + 1, dtype=np.bool_)
        for column, values in zip(self.columns, self.numbers, strict=True):
            seen[values[np.unique(self.table.columns[column].codes)]] = True
        return np.array([number for number in shown(self.vocabulary, embedding) if seen[number]], dtype=np.int64)

    def blocks(self, place: NDArray[np.int64], size: int) -> Iterator[tuple[slice, Tensor]]:
        """Give some encounters after the others.

        Parameters
        ----------
        place : ndarray
            int64, the row of the model's table for each token's number; 0 of no token.

        Yields
        ------
        slice
            Which encounters.
        Tensor
            int64 (B, L), rows of the model's table.
        """
        codes = [self.table.columns[column].codes for column in self.columns]
        for where, block in token_blocks(codes, self.numbers, len(self.vocabulary)):
            rows = torch.from_numpy(place[block])
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                yield slice(where.start + start, where.start + start + len(some)), some


def shown(vocabulary: tuple[Token, ...], embedding: Embedding) -> list[int]:
    """Give the numbers, from 1, of the tokens that a model is shown: an absence may be no token."""
    silent = embedding.shown == NONE
    return [number for number, token in enumerate(vocabulary, 1) if not (silent and token.denied is not None)]


def read_new(site: Site, path: Path, embedding: Embedding) -> NewEncounters:
    """Read a file of encounters that need no label; columns of the label, the patient and the split are not read.

    Raises
    ------
    CohortError
        Names everything that does not fit the site file: file, column, number of rows, what to do.
    """
    problems = Problems(str(site.path))
    header = read_header(path)
    section = site.file.cohort
    where = {column: words for column, words in section.where.items() if column in header}
    table = read_available(path, _wanted(site, path, set(where)), problems)
    whole = 0 if table is None else len(table)
    if table is not None:
        table = take_where(table, where, problems)
    vocabulary, numbers = number_tokens(site.sources, embedding.unknown)
    found = []
    if table is not None:
        _check_ids(table, section.id, problems)
        found = find_numbers(table, site.sources, numbers, problems)
    problems.raise_if_any(CohortError)
    assert table is not None  # otherwise there is a problem
    columns = tuple(source.column for source in site.sources)
    absent = tuple(column for column in section.where if column not in where)
    return NewEncounters(table, vocabulary, columns, found, whole - len(table), absent)


def _wanted(site: Site, path: Path, where: set[str]) -> Wanted:
    """Give the columns to read: ids, concepts, and those by which rows are taken, where the file has them."""
    whole, section = find_wanted(site, path), site.file.cohort
    needed = {source.column for source in site.sources} | where | ({section.id} - {None})
    ids = {name: seed for name, seed in whole.ids.items() if name == section.id}
    keys = {name: key for name, key in whole.keys.items() if name in needed}
    return Wanted(keys, {name: meaning for name, meaning in whole.meanings.items() if name in needed}, ids)


def _check_ids(table: Table, name: str | None, problems: Problems) -> None:
    """Report blank ids, and ids that two rows have."""
    if name is None or name not in table.ids:
        return
    ids = table.ids[name]
    blank = ids.blank()
    note(problems, table, name, Fault("a blank id", "give each encounter an id"), blank)
    fault = Fault("an id that another row has too", "an id names one encounter; correct the ids")
    note(problems, table, name, fault, ids.repeated() & ~blank)
