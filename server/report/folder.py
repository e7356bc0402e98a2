"""Reads the files of a run's folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from common.config import Federation, digest, load_federation
from common.errors import ConfigError
from common.figures import HITS, METRICS

RESULTS, EXCHANGE, ROUNDS, CURVES, SIZES = "results.csv", "exchange.csv", "rounds.csv", "curves.csv", "sizes.csv"
CLASSES, CLASS_CURVES = "classes.csv", "class-curves.csv"
EVENTS = "events.jsonl"
KEYS = ["embedding", "seed", "strategy", "sources", "site", "split"]
COLUMNS = {
    RESULTS: [*KEYS, "n", "positive", *METRICS, "threshold", "note", "withheld"],
    EXCHANGE: ["embedding", "seed", "phase", "round", "site", "direction", "numbers", "bytes"],
    ROUNDS: ["embedding", "seed", "phase", "round", "site", "contributed", "encounters", "why_not"],
    CURVES: [*KEYS, "bin_low", "bin_high", "n", "positive"],
    CLASSES: [*KEYS, "class", "n", "positive", *(name for name in METRICS if name not in HITS), "note"],
    CLASS_CURVES: [*KEYS, "class", "bin_low", "bin_high", "n", "positive"],
    SIZES: ["site", "of", "encounters"],
}
_TEXT = ["embedding", "strategy", "sources", "site", "split", "phase", "note", "withheld", "why_not", "of", "class"]


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, complete or not; a file that is absent gives an empty table.

    Raises
    ------
    ConfigError
        On use: a file is missing without which there is nothing to report, or is not what it should be.
    """

    path: Path

    @cached_property
    def federation(self) -> Federation:
        """The run's configuration."""
        return load_federation(self.path / "federation.toml")

    @cached_property
    def results(self) -> pd.DataFrame:
        """A row for each embedding, seed, strategy, sources, site and split."""
        if not (self.path / RESULTS).is_file():
            raise ConfigError(
                f"{self.path}: no {RESULTS} here; name the folder of a run of which at least one seed is done"
            )
        table = self._table(RESULTS)
        if table.empty:
            raise ConfigError(f"{self.path / RESULTS}: no row; wait until one seed of the run is done")
        return table

    @cached_property
    def exchange(self) -> pd.DataFrame:
        """A row for each message."""
        return self._table(EXCHANGE)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """A row for each site that was asked something, in order."""
        return self._table(ROUNDS)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Counts of encounters by ranges of probability."""
        return self._counts(CURVES)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The same as `results` of each class or label against the rest; empty where there are two classes."""
        return self._table(CLASSES)

    @cached_property
    def class_curves(self) -> pd.DataFrame:
        """The same as `curves` of each class or label against the rest."""
        return self._counts(CLASS_CURVES)

    @property
    def over(self) -> str:
        """What the figures in `results` are means over: "classes", "labels", or nothing where there are two classes."""
        shape = self.federation.model
        return "" if shape.binary else "classes" if shape.labels is None else "labels"

    def _counts(self, name: str) -> pd.DataFrame:
        table = self._table(name)
        wrong = ~((table["bin_low"] < table["bin_high"]) & (table["positive"] >= 0) & (table["positive"] <= table["n"]))
        if wrong.any():
            line = int(wrong.to_numpy().argmax()) + 2
            raise ConfigError(f"{self.path / name}, line {line}: expected bin_low below bin_high, positive from 0 to n")
        return table

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """Which sites are one site at several sizes; empty unless somebody has said so."""
        return self._table(SIZES)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What happened; `line` is an event's place in the file. A line that a crash cut short is left out."""
        path = self.path / EVENTS
        found = []
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
        for number, line in enumerate(lines):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("kind"), str):
                found.append({**event, "line": number})
        return found

    @cached_property
    def record(self) -> dict[str, Any]:
        """What a coordinator noted of the run's start; empty for a simulation."""
        return self._json("run.json")

    @cached_property
    def absent(self) -> list[str]:
        """Whom the run went on without, and why."""
        return [str(line) for line in self._json("results.json").get("absent", [])]

    @cached_property
    def weights(self) -> dict[str, str]:
        """SHA-256 of each file of weights, as noted when it was written."""
        return {str(name): str(value) for name, value in self._json("results.json").get("weights", {}).items()}

    @property
    def digest(self) -> str:
        """The federation's, as noted at the start, or else worked out now."""
        return str(self.record.get("digest") or digest(self.federation))

    @property
    def complete(self) -> bool:
        """Whether the run has ended well."""
        ended = bool(self.events) and self.events[-1]["kind"] == "end" and bool(self.events[-1].get("ok"))
        return ended and not (self.path / "journal").exists()

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ConfigError(f"{path}: not JSON; the file is damaged") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected a JSON object")
        return content

    def _table(self, name: str) -> pd.DataFrame:
        path, expected = self.path / name, COLUMNS[name]
        if not path.is_file():
            return pd.DataFrame(columns=expected)
        try:
            texts = dict.fromkeys(_TEXT, str)
            table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=texts)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from None
        if missing := [column for column in expected if column not in table.columns]:
            raise ConfigError(f"{path}: column {', '.join(missing)} is missing; expected those of docs/report.md")
        present = [column for column in _TEXT if column in table.columns]
        return table.assign(**{column: table[column].astype(object).fillna("") for column in present})


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a table's rows, column by name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict(orient="records")]
