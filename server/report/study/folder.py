"""Reads the files of a study's folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from common.errors import ConfigError
from common.shape import ModelShape
from common.toml import check

STUDY, SUMMARY, COMPARISONS, CLASSES = "study.json", "summary.csv", "comparisons.csv", "classes.csv"
KEYS = ["preset", "embedding", "source", "target", "size", "strategy"]
COLUMNS = {
    SUMMARY: [*KEYS, "n", "positive", "auroc", "low", "high", "sd_patients", "sd_seeds"],
    COMPARISONS: [*KEYS[:5], "first", "second", "difference", "low", "high", "p", "p_adjusted"],
    CLASSES: [*KEYS, "class", "n", "positive", "auroc", "low", "high"],
}
_TEXT = [*KEYS, "first", "second", "class"]
ALL = "all"  # the size of a target that has nothing left out


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a complete study.

    Raises
    ------
    ConfigError
        On use: a file is missing, or is not what it should be.
    """

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The study as it was read."""
        path = self.path / STUDY
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ConfigError(f"{path}: not JSON; the file is damaged") from None
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            raise ConfigError(f"{path}: expected a study")
        return content

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row for each cell; `line` is its place in the file."""
        table = self._table(SUMMARY)
        if table.empty:
            raise ConfigError(f"{self.path / SUMMARY}: no row; run the study again, it makes what is missing")
        return table

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """A row for each pair of strategies; `line` is its place in the file."""
        return self._table(COMPARISONS)

    @cached_property
    def shape(self) -> ModelShape:
        """What is predicted."""
        overrides = self.content.get("overrides") or {}
        return check(overrides.get("model", {}), ModelShape, f"{self.path / STUDY}, overrides.model")

    @property
    def over(self) -> str:
        """What the figures in `summary` are means over: "classes", "labels", or nothing where there are two classes."""
        return "" if self.shape.binary else "classes" if self.shape.labels is None else "labels"

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The same as `summary` of each class or label against the rest; of more than two classes only."""
        return self._table(CLASSES)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.path / name
        if not path.is_file():
            raise ConfigError(f"{self.path}: no {name} here; let the study end, the same command goes on with it")
        try:
            table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(_TEXT, str))
        except pd.errors.EmptyDataError:  # no pair of strategies
            return pd.DataFrame(columns=[*COLUMNS[name], "line"])
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from None
        if missing := [column for column in COLUMNS[name] if column not in table.columns]:
            raise ConfigError(f"{path}: column {', '.join(missing)} is missing; expected those of docs/study.md")
        words = {column: table[column].astype(object).fillna("") for column in _TEXT if column in table.columns}
        return table.assign(**words, line=range(len(table)))


def behind(row: dict[str, Any]) -> str:
    """Name the row of a file that a figure is from."""
    return f"lines={row['line']}-{row['line']}"


def in_order(sizes: pd.Series[str]) -> list[str]:
    """Give sizes from small to large; `ALL` is last."""
    return sorted(set(sizes), key=lambda size: (size == ALL, 0 if size == ALL else int(size)))


def written(size: str) -> str:
    """Give a size for people."""
    return size if size == ALL else f"{int(size):,}"
