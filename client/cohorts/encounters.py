"""One file of encounters: the rows to take, their labels, ids and tokens.

Letters: N encounters, K different cells of a column.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.cohorts.cells import Codes, Fault, Table, decode, note, spell
from client.cohorts.concepts import Source
from client.cohorts.labels import LEFT_OUT
from client.cohorts.reader import read_header, read_table
from client.cohorts.section import CohortSection
from client.cohorts.tokens import LISTED, find_numbers
from client.cohorts.wanted import Wanted
from common.errors import CohortError, Problems


@dataclass(frozen=True, eq=False)
class Encounters:
    """The encounters that a file contributes.

    Attributes
    ----------
    table : Table
        Their rows.
    labels : int8 array (N,), or of several labels (N, C)
        The class: 1 positive, 0 negative, or its place among the site file's; -1 at fault.
    codes : list of arrays (N,)
        For each concept, the codes of its column.
    numbers : list of int64 arrays (K,)
        For each concept, the token number of each of its column's cells; -1 at fault.
    """

    table: Table
    labels: Codes
    codes: list[Codes]
    numbers: list[NDArray[np.int64]]


def read_available(path: Path, wanted: Wanted, problems: Problems) -> Table | None:
    """Read the wanted columns that the file has; report the others."""
    try:
        header = read_header(path)
        _report_missing(path.name, header, wanted.keys, problems)
        twice = [name for name in wanted.keys if header.count(name) > 1]
        for name in twice:
            problems.add(f'{path.name}: column "{name}": {header.count(name)} times in the header; rename all but one')
        names = [name for name in wanted.keys if header.count(name) == 1]
        read = [name for name in names if name in wanted.meanings]
        ids = {name: seed for name, seed in wanted.ids.items() if name in names}
        table = read_table(path, read, wanted.meanings, ids) if names else None
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
    """Read labels, drop the encounters without one, check the ids, and find the tokens.

    Parameters
    ----------
    numbers : sequence of mapping
        For each source, the token number of each value.

    Returns
    -------
    Encounters or None
        None where a label's column is missing or no encounter is left; there is a problem then.
    """
    predicted = section.predicted()
    if any(label.column not in table.columns for label in predicted.values()):
        find_numbers(table, sources, numbers, problems)
        return None
    columns, kept = [], np.ones(len(table), dtype=np.bool_)
    for label in predicted.values():
        columns.append(decode(table, label.column, label.read, label.numbers(), problems))
        kept &= columns[-1] != label.numbers()[LEFT_OUT]
    if not kept.any():
        keys = " or ".join(f"cohort.{key}.leave_out" for key in predicted)
        problems.add(f"{table.file}: {keys} leaves none of {len(table)} rows; check its spellings")
        return None
    found = columns[0] if section.label else np.stack(columns, axis=1)
    table = table.take(kept)
    _check_ids(table, section, problems)
    values = find_numbers(table, sources, numbers, problems)
    codes = [table.columns[source.column].codes for source in sources if source.column in table.columns]
    return Encounters(table, found[kept], codes, values)


def check_shared_ids(first: Table, second: Table, name: str, problems: Problems) -> None:
    """Report ids of the test file that the other file has too: an encounter would train and test."""
    if name in first.ids and name in second.ids:
        shared = second.ids[name].shared(first.ids[name]) & ~second.ids[name].blank()
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


def _check_ids(table: Table, section: CohortSection, problems: Problems) -> None:
    """Report blank ids, ids that are not an encounter's own, and blank patients."""
    if section.id is not None and section.id in table.ids:
        ids = table.ids[section.id]
        blank = ids.blank()
        note(problems, table, section.id, Fault("a blank id", "give each encounter an id"), blank)
        remedy = "an id names one encounter; correct the ids, or name another column as cohort.id"
        fault = Fault("an id that another row has too", remedy)
        note(problems, table, section.id, fault, ids.repeated() & ~blank)
    if section.patient is not None and section.patient in table.ids:
        fault = Fault("a blank patient", "say whose encounter it is, or remove cohort.patient")
        note(problems, table, section.patient, fault, table.ids[section.patient].blank())


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
