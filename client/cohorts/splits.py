"""Which encounters train, which choose the checkpoint, and which test. The same file always gives the same split."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from client.cohorts.cells import Codes, Fault, Table, clashes, decode, refuse, spell
from client.cohorts.ids import digests
from common.errors import Problems
from common.toml import Declared

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NUMBERS = {TRAIN: 0, VALIDATION: 1, TEST: 2}

Share: TypeAlias = float | tuple[str, ...]  # a share of the encounters, or the cells of a column

# What each kind of split needs, and what it may also say.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "hash": ({"test"}, {"validation"}),
    "column": ({"column", "test"}, {"validation", "train"}),
    "date": ({"column", "test_from"}, {"validation", "format"}),
    "file": (set(), {"validation"}),
}
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ].*)?")


class SplitPlan(Declared):
    """The section ``[split]``.

    Attributes
    ----------
    by : {"hash", "column", "date", "file"}
        How the test encounters are found: a share by hash of the id; the cells of a column; a day and every later
        one; the whole of ``cohort.test_file``.
    test, validation : float or tuple of str
        A share in (0, 1), or the cells of `column` that mean this part.
    train : tuple of str, optional
        The cells of `column` that mean training; without it, every cell that is neither blank nor another part's.
    """

    by: Literal["hash", "column", "date", "file"]
    column: str | None = None
    test: Share | None = None
    validation: Share = 0.2
    train: tuple[str, ...] | None = None
    format: str | None = None
    test_from: date | None = None
    seed: int = 0

    @field_validator("test", "validation", mode="plain")
    @classmethod
    def _share(cls, value: Any) -> Share:
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return tuple(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
            return float(value)
        raise ValueError(f"must be a share between 0 and 1, or a list of spellings. Got {value!r} instead")

    @field_validator("format")
    @classmethod
    def _gives_a_day(cls, value: str | None) -> str | None:
        day = datetime(2001, 2, 3)
        try:
            gives = value is None or datetime.strptime(day.strftime(value), value).date() == day.date()
        except ValueError:
            gives = False
        if not gives:
            raise ValueError(f"{value!r} does not give year, month and day; expected the like of '%m/%d/%Y'")
        return value

    @model_validator(mode="after")
    def _agree(self) -> SplitPlan:
        needed, allowed = _KEYS[self.by]
        told = self.model_fields_set - {"by", "seed"}
        faults = [f'{key} is needed with by = "{self.by}"' for key in sorted(needed - told)]
        faults += [f'{key} is not read with by = "{self.by}"; remove it' for key in sorted(told - needed - allowed)]
        refuse("SplitPlan", [*faults, *self._share_faults()])
        return self

    def _share_faults(self) -> list[str]:
        faults = []
        if self.by == "column" and isinstance(self.test, float):
            faults.append('test must list the spellings that mean test with by = "column"')
        if self.by == "hash" and isinstance(self.test, tuple):
            faults.append('test must be a share between 0 and 1 with by = "hash"')
        if self.by != "column" and isinstance(self.validation, tuple):
            faults.append(f'validation must be a share between 0 and 1 with by = "{self.by}"')
        if isinstance(self.test, float) and isinstance(self.validation, float) and self.test + self.validation >= 1:
            faults.append("test and validation leave nothing to train on; their sum must be below 1")
        groups = {"test": self.test, "validation": self.validation, "train": self.train}
        return faults + clashes({key: words for key, words in groups.items() if isinstance(words, tuple)})

    def read(self, cell: str) -> str | Fault:
        """Give the part that a cell of `column` stands for; training, where validation is drawn later."""
        return self._read_day(cell) if self.by == "date" else self._read_part(cell)

    def _read_part(self, cell: str) -> str | Fault:
        for part, words in ((TEST, self.test), (VALIDATION, self.validation), (TRAIN, self.train)):
            if isinstance(words, tuple) and cell in map(spell, words):
                return part
        if cell == "" or self.train is not None:
            remedy = "correct the cells, or add their spelling to train, validation or test of [split]"
            return Fault("a blank or a value that [split] does not declare", remedy)
        return TRAIN

    def _read_day(self, cell: str) -> str | Fault:
        day = _day(cell, self.format)
        if day is None or self.test_from is None:
            expected = f"the format '{self.format}'" if self.format else "YYYY-MM-DD"
            return Fault("a blank or something that is not a date", f"expected {expected}; check split.format")
        return TEST if day >= self.test_from else TRAIN


def assign(plan: SplitPlan, table: Table, identity: str | None, problems: Problems) -> Codes:
    """Give the part of each encounter of the cohort's file.

    Parameters
    ----------
    identity : str or None
        The column of ids; without it, the row's number in the file stands in.

    Returns
    -------
    int8 array (N,)
        As in `NUMBERS`; -1 where the column at fault does not say.
    """
    if plan.by == "hash":
        drawn = draws(plan.seed, table, identity)
        test, validation = _number(plan.test), _number(plan.validation)
        parts = np.where(drawn < test, NUMBERS[TEST], NUMBERS[TRAIN]).astype(np.int8)
        parts[(drawn >= test) & (drawn < test + validation)] = NUMBERS[VALIDATION]
        return parts
    if plan.by == "file" or plan.column is None:
        parts = np.full(len(table), NUMBERS[TRAIN], dtype=np.int8)
    else:
        parts = decode(table, plan.column, plan.read, NUMBERS, problems)
    if isinstance(plan.validation, float):
        drawn = draws(plan.seed, table, identity)
        parts[(parts == NUMBERS[TRAIN]) & (drawn < plan.validation)] = NUMBERS[VALIDATION]
    return parts


def draws(seed: int, table: Table, identity: str | None) -> NDArray[np.float64]:
    """Draw a number in [0, 1) for each row, float64 (N,), from the seed and the row's id or number alone."""
    if identity is None:
        keys = digests(seed, table.rows)
    elif identity in table.ids and table.ids[identity].seed == seed:
        keys = table.ids[identity].keys
    else:
        keys = digests(seed, table.columns[identity].cells)[table.columns[identity].codes]
    bits = keys[:, 0] >> np.uint64(11)  # 53 bits, so that the division is exact
    return bits / 2.0**53


def _number(share: Share | None) -> float:
    """Narrow a share that the plan's checks have already found to be a number."""
    assert isinstance(share, float)
    return share


def _day(cell: str, form: str | None) -> date | None:
    try:
        if form:
            return datetime.strptime(cell, form).date()
        found = _ISO.fullmatch(cell)
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
