"""Who contributed: how often each site answered, and why one did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import pandas as pd
from markupsafe import Markup

from common.strategies import POOLED, SOURCE
from server.report.folder import ROUNDS, records
from server.report.trace import Row, Table, figure, where


def attendance(rounds: pd.DataFrame) -> Table:
    """Say of each site how often it answered, phase by phase; rounds that are alike stand together."""
    sites = list(dict.fromkeys(rounds["site"]))
    columns = list(_columns(rounds, sites))
    rows = []
    for site in sites:
        cells: list[str] = [site]
        for phase, numbers, told in columns:
            there, asked = told[site]
            key = where(phase=phase, round=numbers[0], site=site)
            cells.append(_there(there, asked, key))
        rows.append(Row(cells))
    headings = ["site", *(_phase(phase, numbers) for phase, numbers, _ in columns)]
    return Table("Answers of those asked for, over all embeddings and seeds", headings, rows, 1)


def missing(rounds: pd.DataFrame) -> Table:
    """List everybody who did not answer, and why."""
    away = rounds[rounds["contributed"] == "no"]
    names = ["embedding", "seed", "phase", "round", "site", "why_not"]
    rows = [Row([str(record[name]) for name in names]) for record in records(away)]
    return Table("Who did not contribute", ["embedding", "seed", "phase", "round", "site", "why"], rows, 6)


def _columns(rounds: pd.DataFrame, sites: Sequence[str]) -> Iterator[tuple[str, list[int], dict[str, tuple[int, int]]]]:
    """Give phase, rounds and each site's answers of those asked for; neighbours that are alike as one."""
    found: dict[tuple[str, int, str], tuple[int, int]] = {}
    for row in records(rounds):
        key = str(row["phase"]), int(row["round"]), str(row["site"])
        there, asked = found.get(key, (0, 0))
        found[key] = there + (row["contributed"] == "yes"), asked + 1
    for phase in dict.fromkeys(rounds["phase"]):
        numbers = sorted({number for name, number, _ in found if name == phase}, key=lambda n: (n == 0, n))
        told = [(n, {site: found.get((phase, n, site), (0, 0)) for site in sites}) for n in numbers]
        for _, alike in groupby(told, key=lambda each: (each[0] == 0, tuple(each[1].values()))):
            together = list(alike)
            yield str(phase), [number for number, _ in together], together[0][1]


def _phase(phase: str, numbers: Sequence[int]) -> str:
    if numbers[0] == 0:
        return f"{phase}, scored" if phase in (SOURCE, POOLED) else phase
    last = f"\N{EN DASH}{numbers[-1]}" if len(numbers) > 1 else ""
    return f"{phase}, round {numbers[0]}{last}"


def _there(there: int, asked: int, key: str) -> Markup:
    if not asked:
        return Markup('<span class="none">\N{MIDDLE DOT}</span>')
    yes = figure(there, "contributed", "count", 0, f"{key};contributed=yes", ROUNDS)
    all_ = figure(asked, "contributed", "count", 0, key, ROUNDS)
    text = Markup("{} of {}").format(yes, all_)
    return text if there == asked else Markup('<strong class="short">{} !</strong>').format(text)
