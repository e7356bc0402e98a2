"""The cells of a table: how they are spelled, and what is said about those that cannot be read.

Letters: N rows, K different cells of a column. A cell's content never reaches a message; its row number may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from client.cohorts.ids import Ids
from common.errors import Problems

SHOWN = 5  # row numbers in a message
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")


@dataclass(frozen=True)
class Fault:
    """Why a cell cannot be read: what is wrong with it, and what to do."""

    wrong: str
    remedy: str


Reading: TypeAlias = Callable[[str], str | Fault]
Codes: TypeAlias = NDArray[Any]  # whole numbers of the smallest type that holds them: N rows of 70 columns add up


@dataclass(frozen=True, eq=False)
class Column:
    """A column as the numbers of its different cells.

    Attributes
    ----------
    codes : uint8, uint16 or int32 array (N,)
        For each row, the position of its cell in `cells`.
    cells : tuple of str (K,)
        The different cells, as `spell` gives them, each once; some may occur in no row. Where the reader was told what
        cells mean, one cell stands for all that mean the same.
    """

    codes: Codes
    cells: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a file that a site file names.

    Attributes
    ----------
    file : str
        The file's name, for messages.
    columns : dict of str to Column
    rows : int64 array (N,)
        Number of each row in the file; the first row under the header is 1.
    ids : dict of str to Ids
        The columns that were read as ids.
    """

    file: str
    columns: dict[str, Column]
    rows: NDArray[np.int64]
    ids: dict[str, Ids] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, kept: NDArray[np.bool_]) -> Table:
        """Keep the rows where `kept`, a bool array (N,), is true."""
        if kept.all():
            return self
        columns = {name: Column(column.codes[kept], column.cells) for name, column in self.columns.items()}
        ids = {name: column.take(kept) for name, column in self.ids.items()}
        return Table(self.file, columns, self.rows[kept], ids)


def spell(cell: str) -> str:
    """Give the one spelling of a cell: no spaces around it, and a whole number without its ".0"."""
    cell = cell.strip()
    whole = _WHOLE.fullmatch(cell) if cell.endswith("0") and "." in cell else None
    return whole[1] if whole else cell


def decode(table: Table, name: str, reading: Reading, numbers: Mapping[str, int], problems: Problems) -> Codes:
    """Read a column: each different cell once, then all rows together.

    Parameters
    ----------
    table, name
        The column to read.
    reading : callable
        Gives the value that a cell stands for, or the fault in it.
    numbers : mapping of str to int
        The number, 0 or more, that stands for each value in the result.
    problems : Problems
        Told about rows with a fault, by count.

    Returns
    -------
    int8 array (N,), or wider where `numbers` asks for it
        -1 where a cell has a fault.
    """
    values = find_values(table, name, reading, numbers, problems)
    return values.astype(np.min_scalar_type(-1 - max(numbers.values())))[table.columns[name].codes]


def find_values(
    table: Table, name: str, reading: Reading, numbers: Mapping[str, int], problems: Problems
) -> NDArray[np.int64]:
    """Give what each different cell of a column stands for, (K,); the rest is as in `decode`."""
    column = table.columns[name]
    answers = [reading(cell) for cell in column.cells]
    for fault in dict.fromkeys(answer for answer in answers if isinstance(answer, Fault)):
        at_fault = np.array([answer == fault for answer in answers])[column.codes]
        note(problems, table, name, fault, at_fault)
    return np.array([-1 if isinstance(answer, Fault) else numbers[answer] for answer in answers], dtype=np.int64)


def note(problems: Problems, table: Table, name: str, fault: Fault, at_fault: NDArray[np.bool_]) -> None:
    """Report the rows where `at_fault`, a bool array (N,), is true, if there are any."""
    if at_fault.any():
        where = count_rows(table.rows[at_fault].tolist())
        problems.add(f'{table.file}: column "{name}": {fault.wrong} in {where}; {fault.remedy}')


def count_rows(rows: list[int]) -> str:
    """Say how many rows, and the numbers of the first few: "7 rows (data rows 1, 2, 3, 4, 5 and 2 more)"."""
    if len(rows) == 1:
        return f"1 row (data row {rows[0]})"
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"{len(rows)} rows (data rows {', '.join(map(str, rows[:SHOWN]))}{more})"


def clashes(groups: Mapping[str, Iterable[str]], fold_case: bool = False) -> list[str]:
    """Say which spelling stands in a group twice or in two groups; "1" and "1.0" are one spelling."""
    seen: dict[str, str] = {}
    lines = []
    for group, spellings in groups.items():
        for spelling in spellings:
            key = spell(spelling).casefold() if fold_case else spell(spelling)
            if key in seen:
                both = f"twice in {group}" if seen[key] == group else f"in both {seen[key]} and {group}"
                lines.append(f'the spelling "{key}" stands {both}; name it once')
            seen.setdefault(key, group)
    return lines


def refuse(title: str, lines: list[str]) -> None:
    """Raise every fault found in one section of a site file, if there is one, as pydantic collects them."""
    if lines:
        kinds = [PydanticCustomError("value_error", "{line}", {"line": line}) for line in lines]
        raise ValidationError.from_exception_data(title, [InitErrorDetails(type=k, loc=(), input=None) for k in kinds])
