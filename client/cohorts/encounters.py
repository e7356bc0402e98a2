"""One file of encounters: the rows to take, their labels, ids and tokens.

Letters: N encounters, L concepts.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.cohorts import labels
from client.cohorts.cells import Fault, Table, decode, note, spell
from client.cohorts.concepts import Source
from client.cohorts.reader import read_header, read_table
from client.cohorts.section import CohortSection
from common.errors import CohortError, Problems

LISTED = 10  # names or columns in one message


@dataclass(frozen=True, eq=False)
class Encounters:
    """The encounters that a file contributes.

    Attributes
    ----------
    table : Table
        Their rows.
    labels : int32 array (N,)
        1 positive, 0 negative, -1 at fault.
    tokens : int32 array (N, L)
        Token numbers; -1 at fault.
    """

    table: Table
    labels: NDArray[np.int32]
    tokens: NDArray[np.int32]


def read_available(path: Path, wanted: Mapping[str, str], problems: Problems) -> Table | None:
    """Read the wanted columns that the file has; report the others.

    Parameters
    ----------
    wanted : mapping of str to str
        For each column, the key of the site file that names it.
    """
    try:
        header = read_header(path)
        _report_missing(path.name, header, wanted, problems)
        twice = [name for name in wanted if header.count(name) > 1]
        for name in twice:
            problems.add(f'{path.name}: column "{name}": {header.count(name)} times in the header; rename all but one')
        names = [name for name in wanted if header.count(name) == 1]
        table = read_table(path, names) if names else None
    except CohortError as error:
        problems.add(str(error))
        return None
    if table is not None and len(table) == 0:
        problems.add(f"{path.name}: no rows under the header; expected one for each encounter")
        return None
    return table


def take_where(table: Table, where: Mapping[str, Sequence[str]], problems: Problems) -> Table | None:
    """Keep the rows that the site file asks for; None, and a problem, where none is left."""
    kept = np.ones(len(table), dtype=np.bool_)
    for name, words in where.items():
        if name in table.columns:
            column = table.columns[name]
            allowed = {spell(word) for word in words}
            kept &= np.array([cell in allowed for cell in column.cells])[column.codes]
    if not kept.any():
        problems.add(f"{table.file}: cohort.where leaves none of {len(table)} rows; check its columns and spellings")
        return None
    return table.take(kept)


def read_encounters(
    section: CohortSection,
    table: Table,
    sources: Sequence[Source],
    numbers: Sequence[Mapping[str, int]],
    problems: Problems,
) -> Encounters | None:
    """Read labels, drop the encounters without one, check the ids, and read the tokens.

    Parameters
    ----------
    numbers : sequence of mapping
        For each source, the token number of each value.

    Returns
    -------
    Encounters or None
        None where the label's column is missing or no encounter is left; there is a problem then.
    """
    if section.label.column not in table.columns:
        _read_tokens(table, sources, numbers, problems)
        return None
    found = decode(table, section.label.column, section.label.read, labels.NUMBERS, problems)
    kept = found != labels.NUMBERS[labels.LEFT_OUT]
    if not kept.any():
        problems.add(f"{table.file}: cohort.label.leave_out leaves none of {len(table)} rows; check its spellings")
        return None
    table = table.take(kept)
    if section.id is not None and section.id in table.columns:
        _check_ids(table, section.id, problems)
    return Encounters(table, found[kept], _read_tokens(table, sources, numbers, problems))


def check_shared_ids(first: Table, second: Table, name: str, problems: Problems) -> None:
    """Report ids of the test file that the other file has too: an encounter would train and test."""
    if name in first.columns and name in second.columns:
        used = _present(first, name)
        column = second.columns[name]
        shared = np.array([cell != "" and cell in used for cell in column.cells])[column.codes]
        remedy = "an encounter may not both train and test; remove it from one of the files"
        fault = Fault(f"an id that {first.file} has too", remedy)
        note(problems, second, name, fault, shared)


def check_where(tables: Sequence[Table], where: Mapping[str, Sequence[str]], problems: Problems) -> None:
    """Report a spelling under ``where`` that no row has: most likely a slip of the pen."""
    for name, words in where.items():
        if all(name in table.columns for table in tables):
            present = set().union(*(_present(table, name) for table in tables))
            absent = [word for word in words if spell(word) not in present]
            if absent:
                listed = ", ".join(f'"{word}"' for word in absent[:LISTED])
                problems.add(f'cohort.where."{name}": no row has {listed}; correct the spelling or remove it')


def _present(table: Table, name: str) -> set[str]:
    """Give the cells that occur; a column may list more."""
    column = table.columns[name]
    return {column.cells[code] for code in np.unique(column.codes)}


def _check_ids(table: Table, name: str, problems: Problems) -> None:
    column = table.columns[name]
    blank = np.array([cell == "" for cell in column.cells])[column.codes]
    note(problems, table, name, Fault("a blank id", "give each encounter an id"), blank)
    shared = np.bincount(column.codes)[column.codes] > 1
    remedy = "an id names one encounter; correct the ids, or name another column as cohort.id"
    note(problems, table, name, Fault("an id that another row has too", remedy), shared & ~blank)


def _read_tokens(
    table: Table, sources: Sequence[Source], numbers: Sequence[Mapping[str, int]], problems: Problems
) -> NDArray[np.int32]:
    """Read every concept's column, int32 (N, L), and report at most `LISTED` problems and how many more there are."""
    tokens = np.zeros((len(table), len(sources)), dtype=np.int32)
    own = Problems(table.file)
    for place, (source, values) in enumerate(zip(sources, numbers, strict=True)):
        if source.column in table.columns:
            tokens[:, place] = decode(table, source.column, source.read, values, own)
    for line in own.lines[:LISTED]:
        problems.add(line)
    if len(own.lines) > LISTED:
        problems.add(f"{table.file}: {len(own.lines) - LISTED} more problems of this kind in other columns")
    return tokens


def _report_missing(file: str, header: list[str], wanted: Mapping[str, str], problems: Problems) -> None:
    """Report wanted columns that the header lacks, with the key that names each."""
    missing = {name: key for name, key in wanted.items() if name not in header}
    some = len(missing) < len(wanted)  # otherwise the first line may be a patient: nothing of it is said
    lines = []
    for name, key in list(missing.items())[:LISTED]:
        near = difflib.get_close_matches(name, header, n=1) if some else []
        lines.append(f'"{name}" ({key}{f"; did you mean {near[0]!r}?" if near else ""})')
    more = _more(len(missing))
    if missing and some:
        has = f"the file's {len(header)} columns are {', '.join(header[:LISTED])}{_more(len(header))}"
        problems.add(f"{file}: no column {', '.join(lines)}{more}; {has}")
    elif missing:
        expected = f"expected {', '.join(lines)}{more}"
        problems.add(f"{file}: none of the columns that the site file names; {expected}; does it begin with a header?")


def _more(count: int) -> str:
    return f" and {count - LISTED} more" if count > LISTED else ""
