"""From a site's file and its table to tokens and labels, in three parts.

Letters: N encounters, L concepts, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from client.cohorts.cells import Codes
from client.cohorts.concepts import Source
from client.cohorts.encounters import (
    Encounters,
    check_shared_ids,
    check_where,
    read_available,
    read_encounters,
    take_where,
)
from client.cohorts.section import CohortSection
from client.cohorts.splits import NUMBERS, TEST, assign
from client.cohorts.tokens import Numbers, number_type, token_blocks
from client.cohorts.wanted import find_wanted
from common.concepts import ABSENT, UNKNOWN, Token
from common.errors import CohortError, ConfigError, Problems

if TYPE_CHECKING:  # the site file is made of this package's sections, so that the import would go round
    from client.site_file import Site

Unknown: TypeAlias = Literal["keep", "mask", "fold"]


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a cohort.

    Attributes
    ----------
    tokens : uint8, int16 or int32 array (N, L)
        1 + position in `Cohort.vocabulary`; 0 is no token. One column for each concept, in the order of the site file.
        The type is the smallest that holds the vocabulary: ten million encounters of 70 findings take 0.7 GB.
    labels : int64 array (N,), or of several labels (N, C)
        1 positive, 0 negative; of named classes the place in the site file.
    patients : int64 array (N,) or None
        Numbers that tell whose encounters they are, alike in all parts: the first 64 bits of a digest, which two of ten
        million patients share with probability 3e-6, and then only count as one. None without ``cohort.patient``.
    """

    tokens: Numbers
    labels: NDArray[np.int64]
    patients: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Cohort:
    """A site's encounters.

    Attributes
    ----------
    vocabulary : tuple of Token (V,)
        Every token that an encounter may hold.
    """

    vocabulary: tuple[Token, ...]
    train: Split
    validation: Split
    test: Split


def read_cohort(site: Site, unknown: Unknown = "mask") -> Cohort:
    """Read the encounters of a site.

    Parameters
    ----------
    site : Site
    unknown : {"keep", "mask", "fold"}
        "keep": unknown is a token of its own. "mask": it is no token, index 0. "fold": an unknown finding counts as
        absent, as in the paper; a category or a graded number keeps its token.

    Raises
    ------
    CohortError
        Names everything that does not fit the site file: file, column, number of rows, what to do.
    """
    if unknown not in get_args(Unknown):
        raise ConfigError(f"no way to treat unknown values is called {unknown!r}; expected one of keep, mask, fold")
    problems = Problems(str(site.path))
    vocabulary, numbers = number_tokens(site.sources, unknown)
    files = _read_files(site, numbers, problems)
    parts = _assign(site, files, problems)
    if parts is not None:
        _check_classes(site.file.cohort, files, parts, problems)
    problems.raise_if_any(CohortError)
    assert parts is not None  # otherwise there is a problem
    return Cohort(vocabulary, **_gather(files, parts, len(vocabulary), site.file.cohort.patient))


def number_tokens(sources: Sequence[Source], unknown: Unknown) -> tuple[tuple[Token, ...], list[dict[str, int]]]:
    """Give the vocabulary and, for each source, the number of each value's token: its position + 1, or 0 for none."""
    vocabulary: list[Token] = []
    numbers = []
    for source in sources:
        folded = unknown == "fold" and not source.concept.values
        silent = unknown == "mask" or folded
        own: dict[str, int] = {}
        for value in source.concept.value_names():
            if value == UNKNOWN and silent:
                own[value] = own[ABSENT] if folded else 0
            else:
                vocabulary.append(source.concept.token(value))
                own[value] = len(vocabulary)
        numbers.append(own)
    return tuple(vocabulary), numbers


def _read_files(site: Site, numbers: Sequence[Mapping[str, int]], problems: Problems) -> list[Encounters | None]:
    """Read the file and, where there is one, the test file."""
    section = site.file.cohort
    tables = [read_available(path, find_wanted(site, path), problems) for path in site.files]
    read = [table for table in tables if table is not None]
    if len(read) == len(tables):
        check_where(read, section.where, problems)
    del read
    files: list[Encounters | None] = []
    while tables:
        table = tables.pop(0)  # held by no other name: it may be as large as the cohort
        table = None if table is None else take_where(table, section.where, problems)
        files.append(None if table is None else read_encounters(section, table, site.sources, numbers, problems))
    first, last = files[0], files[-1]
    if first is not None and last is not None and first is not last and section.id is not None:
        check_shared_ids(first.table, last.table, section.id, problems)
    return files


def _assign(site: Site, files: list[Encounters | None], problems: Problems) -> list[Codes] | None:
    """Give the part of every encounter of every file, as in `NUMBERS`; None where that cannot be said."""
    section, plan = site.file.cohort, site.file.split
    first = files[0]
    needed = {section.id, section.patient, plan.column} - {None}
    if first is None or not needed <= first.table.columns.keys() | first.table.ids.keys():
        return None
    parts = [assign(plan, first.table, section.patient or section.id, problems)]
    if len(files) > 1:
        if files[1] is None:
            return None
        parts.append(np.full(len(files[1].table), NUMBERS[TEST], dtype=np.int8))
    return parts


def _check_classes(
    section: CohortSection, files: list[Encounters | None], parts: list[Codes], problems: Problems
) -> None:
    """Report a class without encounters, or a part of one class, unless labels or parts are at fault anyway."""
    labels = np.concatenate([file.labels for file in files if file is not None])
    part = np.concatenate(parts)
    if (labels < 0).any() or (part < 0).any():
        return
    if absent := list(_never(section, labels)):
        key, name = absent[0]
        problems.add(f"none of {len(labels)} encounters is {name}; check cohort.{key} and cohort.where")
        return
    for name, place in NUMBERS.items():
        mine = labels[part == place]
        if len(mine) == 0:
            problems.add(f"the {name} part has no encounter; check [split]")
        elif (mine.min(axis=0) == mine.max(axis=0)).all():
            lacks = _lacks(section, mine)
            problems.add(f"the {name} part has no {lacks} encounter, of {len(mine)}; check [split] and cohort.label")


def _never(section: CohortSection, labels: Codes) -> Iterator[tuple[str, str]]:
    """Give the key and the name of every class of the site file that no encounter has."""
    for (key, label), column in zip(section.predicted().items(), np.atleast_2d(labels.T), strict=True):
        numbers = label.numbers()
        yield from ((key, name) for name in label.declared() if not (column == numbers[name]).any())


def _lacks(section: CohortSection, mine: Codes) -> str:
    """Name what a part lacks that has the same label, or labels, throughout."""
    if section.label is None:
        return "other"
    numbers = section.label.numbers()
    return " or ".join(name for name in section.label.declared() if numbers[name] != mine[0])


def _gather(files: list[Encounters | None], parts: list[Codes], largest: int, patient: str | None) -> dict[str, Split]:
    """Put together the encounters of each part; `largest` is the highest number of a token."""
    read = [file for file in files if file is not None]
    labels, part = np.concatenate([file.labels for file in read]), np.concatenate(parts)
    kind, length = number_type(largest), len(read[0].codes)
    tokens = {place: np.empty((int((part == place).sum()), length), dtype=kind) for place in NUMBERS.values()}
    filled = dict.fromkeys(tokens, 0)
    for file, own in zip(read, parts, strict=True):
        for rows, block in token_blocks(file.codes, file.numbers, largest):
            for place, into in tokens.items():
                mine = block[own[rows] == place]
                into[filled[place] : filled[place] + len(mine)] = mine
                filled[place] += len(mine)
    whose = None if patient is None else np.concatenate([file.table.ids[patient].keys[:, 0] for file in read])
    return {
        name: Split(
            tokens[place],
            labels[part == place].astype(np.int64),
            None if whose is None else whose[part == place].view(np.int64),
        )
        for name, place in NUMBERS.items()
    }
