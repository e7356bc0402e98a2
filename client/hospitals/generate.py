"""Writes the built-in pair of hospitals: two tables of drawn encounters and their site files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import csv

from client.hospitals.draw import Encounters, draw
from client.hospitals.figures import SITES, TEMPERATURE, VALUES, read_figures, site_figures
from client.hospitals.site_files import allegheny, finding_codes, salt_lake, salt_lake_columns
from common.errors import ConfigError

FEWEST = 200  # encounters per site; fewer leave a split without influenza

_ROWS = 50_000  # written at a time

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Written:
    """A table that was written: its encounters, and how many of them have influenza."""

    file: Path
    encounters: int
    influenza: int


def write_hospitals(
    folder: Path, encounters: int = 5000, seed: int = 215, wording: Literal["shared", "own"] = "shared"
) -> tuple[Written, ...]:
    """Write allegheny.csv, allegheny.toml, salt-lake.csv and salt-lake.toml into `folder`.

    The same arguments give the same bytes. The tables do not depend on the wording, Salt Lake's site file does.
    Each file is replaced as a whole or not at all.

    Parameters
    ----------
    folder : Path
        Made where missing; files of the same names are replaced.
    encounters : int
        At each site, at least 200.
    seed : int
        0 or more.
    wording : {"shared", "own"}
        "own": Salt Lake names its concepts by its own codes and texts, so that the sites have no token in common.

    Returns
    -------
    tuple of Written
        Allegheny's table, then Salt Lake's.

    Raises
    ------
    ConfigError
        A parameter is outside of what it can be.
    """
    _check(encounters, seed, wording)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"allegheny": allegheny(), "salt-lake": salt_lake("paper" if wording == "shared" else "own")}
    written = []
    for index, site in enumerate(SITES):
        drawn = draw(site_figures(site), encounters, np.random.default_rng([seed, index]))
        path = folder / f"{site}.csv"
        _replace(path, partial(_write_table, drawn, _COLUMNS[site]))
        _replace(folder / f"{site}.toml", partial(_write_text, files[site]))
        written.append(Written(path, encounters, int(drawn.influenza.sum())))
    return tuple(written)


def _check(encounters: int, seed: int, wording: str) -> None:
    if encounters < FEWEST:
        raise ConfigError(
            f"the encounters parameter of write_hospitals must be {FEWEST} or more, "
            f"so that every split has patients with influenza. Got {encounters} instead."
        )
    if seed < 0:
        raise ConfigError(f"the seed parameter of write_hospitals must be 0 or more. Got {seed} instead.")
    if wording not in ("shared", "own"):
        raise ConfigError(f"the wording parameter of write_hospitals must be shared or own. Got {wording!r} instead.")


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write aside, then put in place: nobody finds half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            write(file)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _write_table(drawn: Encounters, columns: Callable[[Encounters, slice], Columns], file: BinaryIO) -> None:
    """Write a table some thousand rows at a time; nothing in it needs a quote."""
    total = len(drawn.influenza)
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    for start in range(0, total, _ROWS):
        table = pa.table(columns(drawn, slice(start, min(start + _ROWS, total))))
        if start == 0:
            file.write((",".join(table.column_names) + "\n").encode())
        csv.write_csv(table, file, options)


def _allegheny_columns(drawn: Encounters, rows: slice) -> Columns:
    """Allegheny's spelling: P, A, M, age groups, and temperature as one of P, A, I, M."""
    codes = [*finding_codes(), TEMPERATURE]
    order = {finding["code"]: index for index, finding in enumerate(read_figures()["findings"])}
    findings = {code: _spelled(VALUES, drawn.values[rows, order[code]]) for code in codes}
    ages = _spelled(read_figures()["age"]["groups"], drawn.age_group[rows])
    return _frame("AC", drawn, rows, {"agegroup": ages, **findings})


def _salt_lake_columns(drawn: Encounters, rows: slice) -> Columns:
    """Salt Lake's spelling: 1, 0, blank, age in years, temperature in degrees Fahrenheit."""
    order = {finding["code"]: index for index, finding in enumerate(read_figures()["findings"])}
    spelling = ("1", "0", "", "")  # P, A, -, M; the third is never drawn for a finding
    findings = {
        column: _spelled(spelling, drawn.values[rows, order[code]]) for code, column in salt_lake_columns().items()
    }
    degrees = ["", *(f"{tenths / 10:.1f}" for tenths in range(1100))]
    numbers = {"age_years": pa.array(drawn.years[rows]), "temp_f": _spelled(degrees, drawn.tenths[rows] + 1)}
    return _frame("SL", drawn, rows, {**numbers, **findings})


def _frame(prefix: str, drawn: Encounters, rows: slice, between: Columns) -> Columns:
    """Put what every site has around its own columns."""
    return {
        "encounter_id": pa.array([f"{prefix}{number:07d}" for number in range(rows.start + 1, rows.stop + 1)]),
        "season": _spelled(read_figures()["seasons"], drawn.season[rows]),
        **between,
        "influenza": pa.array(drawn.influenza[rows]),
    }


def _spelled(spelling: Sequence[str], index: NDArray[np.integer]) -> pa.Array:
    return pa.array(spelling).take(pa.array(np.ascontiguousarray(index)))


_COLUMNS = {"allegheny": _allegheny_columns, "salt-lake": _salt_lake_columns}
