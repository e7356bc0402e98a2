"""Gathers the tokens to embed: the shipped concepts, site files, and lists of one's own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.concepts import Token, builtin_concepts, canonical_text, with_sentences
from common.errors import Problems, TableError

_COLUMNS = ("token", "text")


def gather(builtin: bool, sites: Sequence[Path], lists: Sequence[Path]) -> tuple[Token, ...]:
    """Collect tokens, the first of each text.

    Parameters
    ----------
    builtin : bool
        Take every token of the shipped concepts, in both wordings.
    sites : sequence of Path
        Site files, whose vocabularies are taken.
    lists : sequence of Path
        CSV files with the columns `token` and `text`.

    Raises
    ------
    TableError
        There is nothing to take, or a list is not as described.
    ConfigError
        A site file is not right.
    """
    tokens = builtin_tokens() if builtin else []
    for path in sites:
        tokens += _site_tokens(path)
    for path in lists:
        tokens += read_list(path)
    if not tokens:
        raise TableError("no texts to embed; name some with --builtin, --site site.toml or --texts list.csv")
    return unique(tokens)


def builtin_tokens() -> list[Token]:
    """Give every token of the shipped concepts, the paper's wording first, then the sentences."""
    both = (*builtin_concepts("paper").values(), *builtin_concepts("own").values())
    return with_sentences([token for concept in both for token in concept.tokens()])


def unique(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """Keep the first token of each canonical text: a built table finds its rows by text."""
    first: dict[str, Token] = {}
    for token in tokens:
        text = canonical_text(token.text)
        first.setdefault(text, Token(token.name, text))
    return tuple(first.values())


def read_list(path: Path) -> list[Token]:
    """Read a CSV file of tokens, UTF-8, with the columns `token` and `text`.

    Raises
    ------
    TableError
        Columns or cells are missing; names every row at fault.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        raise TableError(f"{path}: cannot be read; expected a CSV file in UTF-8") from None
    problems = Problems(str(path))
    for column in _COLUMNS:
        if column not in columns:
            problems.add(f"no column {column!r}; expected the columns token and text")
        elif empty := [number for number, row in enumerate(rows, start=1) if not canonical_text(row[column] or "")]:
            problems.add(f"column {column!r} is empty in {len(empty)} rows, such as rows {empty[:5]}")
    problems.raise_if_any(TableError)
    return [Token(row["token"].strip(), canonical_text(row["text"])) for row in rows]


def _site_tokens(path: Path) -> list[Token]:
    from client.site_file import load_site  # here, because the cohort readers bring pandas along

    return with_sentences(load_site(path).vocabulary)
