"""Tables as docs have them."""

from __future__ import annotations


def head(*names: str) -> list[str]:
    """Begin a table, after an empty line."""
    return ["", row(*names), row(*["---"] * len(names))]


def row(*cells: str) -> str:
    """Give one line of a table."""
    return f"| {' | '.join(cells)} |"
