"""Says what a service would be sent and what it may cost, and asks before anything leaves this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from common.errors import TableError

# A token has 4.2 characters of a name in HPO and 4.9 of one in ICD-10-CM, by BERT's word pieces; others cut finer.
# Of a letter that is not English, such as a Chinese one, a tokeniser over bytes makes at most its bytes in UTF-8.
_CHARACTERS = (3.0, 5.0)
_LEAST = 0.01  # of any money; less is not spelt out
_SHOWN = 3  # texts


def estimate(texts: Sequence[str], prefix: str = "", price: float | None = None) -> str:
    """Say how much there is to embed, and its price at `price` a million tokens, in whatever money that is."""
    whole = [prefix + text for text in texts]
    characters, size = sum(map(len, whole)), sum(len(text.encode()) for text in whole)
    english = sum(letter.isascii() for text in whole for letter in text)
    most, least = english / _CHARACTERS[0] + size - english, characters / _CHARACTERS[1]
    said = f"{len(texts):,} texts, {characters:,} characters: about {least:,.0f} to {most:,.0f} tokens"
    if price is None:
        return f"{said}; --price-per-million says what that costs"
    least, most = (tokens * price / 1e6 for tokens in (least, most))
    cost = f"about {least:,.2f} to {most:,.2f}" if most >= _LEAST else f"less than {_LEAST}"
    return f"{said}, {cost} at {price:g} a million"


def confirm(host: str, texts: Sequence[str], yes: bool) -> None:
    """Warn that concept texts leave this machine, and go on only if a person, or `yes`, says so.

    Raises
    ------
    TableError
        The person says no, or there is nobody to ask.
    """
    shown = ", ".join(repr(text) for text in texts[-_SHOWN:])
    typer.echo(
        f"Texts of concepts leave this machine for {host}, such as {shown}. They are the words of a vocabulary, not "
        "patient data; if yours hold anything of a patient, stop here.",
        err=True,
    )
    if yes:
        return
    if not at_terminal():
        raise TableError(f"nothing was sent to {host}: nobody is here to agree; run it on a terminal, or with --yes")
    if not typer.confirm("Send them?", err=True):
        raise TableError(f"nothing was sent to {host}")


def at_terminal() -> bool:
    """Say whether somebody is there to answer."""
    return sys.stdin.isatty()
