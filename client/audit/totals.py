"""Adds up what the audit log says went in and out of the building."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from client.audit.chain import LOG, Record, read_key, read_lines, sealed


@dataclass
class Totals:
    """What crossed for one run, strategy and direction.

    Attributes
    ----------
    run, what, direction : str
        `what` is a strategy, "greet", or "unreadable"; `direction` is "in" or "out".
    messages, refused : int
        `refused` are those that were answered by a code alone.
    numbers, figures, bytes : int
        Numbers in arrays, single figures, and all bytes.
    """

    run: str
    what: str
    direction: str
    messages: int = 0
    refused: int = 0
    numbers: int = 0
    figures: int = 0
    bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the totals as JSON has them."""
        return asdict(self)


def totals(folder: Path) -> list[Totals]:
    """Add up the audit log in an agent's folder, by run, strategy and direction, in the order of their first message.

    What it says is worth as much as the log: see `client.audit.verify`.
    """
    sums: dict[tuple[str, str, str], Totals] = {}
    for record in messages(folder):
        key = (str(record.get("run", "")), str(record.get("what", "")), str(record["direction"]))
        total = sums.setdefault(key, Totals(*key))
        total.messages += 1
        total.refused += record.get("decision") not in ("ok", "received")
        total.numbers += sum(array["numbers"] for array in record.get("arrays", []))
        total.figures += len(record.get("figures", []))
        total.bytes += record.get("bytes", 0)
    return list(sums.values())


def messages(folder: Path) -> Iterator[Record]:
    """Give the lines of the log that tell of a message; lines that the agent did not write are left to `verify`."""
    key = read_key(folder)
    for line in read_lines(folder / LOG):
        if line.record is None or (key is not None and not sealed(line, key)):
            continue
        if line.record.get("direction") in ("in", "out"):
            yield line.record
