"""Prints what `benchmarks.deployed` measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.deployed import BOTH, OURS, TRAIN, Deployed, Poll, Way, medians, ratios
from benchmarks.imports import imports
from benchmarks.marks import STAGES


def print_deployed(console: Console, found: Deployed) -> None:
    """Print the comparison, where the time goes, and how all CPU seconds were accounted for."""
    turns = len(found.accounts) // 2
    console.print(_comparison(found, f"medians of {turns} turns (spread); load before it began {found.load:.1f}"))
    console.print(_stages(found.ways))
    for kind, seconds in imports(3).items():
        console.print(f"CPU of a process, {kind}: {seconds:.2f} s", highlight=False)
    for name, way in found.ways.items():
        loaded = sum(watch.torch() for watch in way.watches)
        messages = sum(len(site.marks["sent"]) for watch in way.watches for site in watch.sites.values())
        console.print(f"{name}: {loaded} processes loaded torch, for {messages} messages", highlight=False)
    counted, ended = (sum(each) for each in zip(*found.accounts, strict=True))
    said = f"the sites' processes had used {ended:.0f} CPU seconds at their ends, {counted:.0f} of them seen before"
    console.print(f"{said}; {found.seconds / 60:.1f} minutes in all", highlight=False)


def print_polls(console: Console, found: Sequence[Poll]) -> None:
    """Print what each interval brings."""
    table = _table("Flower's public interval", "interval", "a round", "until a process starts", "idle, CPU of a site")
    for poll in found:
        rounds = _said([statistics.median(watch.walls()) for watch in poll.watches], "s")
        starts = f"{medians(poll.watches, next(iter(STAGES))):.2f} s"
        table.add_row(poll.way, f"{poll.interval} s", rounds, starts, f"{100 * statistics.median(poll.idle):.1f} %")
    console.print(table)


def _comparison(found: Deployed, title: str) -> Table:
    table = _table(title, OURS, TRAIN, "ratio", BOTH, "ratio")
    for what, unit, values in (
        ("wall time of a round", "s", {name: way.walls for name, way in found.ways.items()}),
        ("CPU of a site for a message", "s", {name: way.cpu for name, way in found.ways.items()}),
        ("CPU of a site for a round", "s", {name: way.cpu_of_round for name, way in found.ways.items()}),
    ):
        cells = [_said(values[OURS], unit)]
        for other in (TRAIN, BOTH):
            cells += [_said(values[other], unit), _said(ratios(values[OURS], values[other]))]
        table.add_row(what, *cells)
    return table


def _stages(ways: dict[str, Way]) -> Table:
    table = _table("where a message's time goes: medians, in seconds", *ways)
    for stage in STAGES:
        table.add_row(stage, *(f"{medians(way.watches, stage):.2f}" for way in ways.values()))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _said(values: Sequence[float], unit: str = "") -> str:
    spread = f"({min(values):.2f}-{max(values):.2f})"
    return " ".join(filter(None, (f"{statistics.median(values):.2f}", unit, spread)))
