"""Reads what a site calls its concepts, wherever that is written: a site file, a CSV list, or an embedding table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from client.embedding.texts import read_list
from common.concepts import ABSENT, PRESENT, SAID, UNKNOWN, Token, canonical_text, finding_text, with_sentences
from common.embeddings import EmbeddingTable, builtin_table, load_table
from common.errors import TableError
from common.files import write_atomically

BUILTIN = "builtin:"
_TABLE, _LIST, _SITE = ".safetensors", ".csv", ".toml"


def read_vocabulary(name: str) -> tuple[tuple[Token, ...], EmbeddingTable | None]:
    """Give the tokens that a file lists, and the table itself where the file is one.

    Parameters
    ----------
    name : str
        A site file (.toml), a CSV list with the columns token and text, an embedding table (.safetensors), or
        "builtin:" and a shipped table's name.

    Raises
    ------
    TableError, ConfigError
        The file cannot be used.
    """
    kind = Path(name).suffix.lower()
    if name.startswith(BUILTIN) or kind == _TABLE:
        table = open_table(name)
        return table.tokens, table
    if kind == _LIST:
        return tuple(read_list(Path(name))), None
    if kind == _SITE:
        from client.site_file import load_site  # only here: it brings the readers of cohorts along

        return load_site(Path(name)).vocabulary, None
    raise TableError(f"{name}: expected a site file ({_SITE}), a list of texts ({_LIST}) or a table ({_TABLE})")


def open_table(name: str) -> EmbeddingTable:
    """Open a table by its file's name or as "builtin:NAME"."""
    return load_table(builtin_table(name.removeprefix(BUILTIN)) if name.startswith(BUILTIN) else Path(name))


def spoken(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Keep one token for each finding, the present one, and every value of categories and grades."""
    present = {token.name.removesuffix(f"_{PRESENT}"): token.text for token in tokens if _ends(token, PRESENT)}
    names = {token.name for token in tokens}
    said = [token for token in tokens if not (token.name.endswith(SAID) and token.name.removesuffix(SAID) in names)]
    return tuple(token for token in said if not any(_made_of(token, value, present) for value in (ABSENT, UNKNOWN)))


def write_vocabulary(tokens: Sequence[Token], path: Path) -> None:
    """Write a CSV list of tokens and texts, sentences included, as `sitebridge embed build --texts` reads it."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["token", "text"])
    writer.writerows([token.name, canonical_text(token.text)] for token in with_sentences(tokens))
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise TableError(f"{path}: cannot be written: {error.strerror}") from None


def _made_of(token: Token, value: str, present: dict[str, str]) -> bool:
    """Whether a token is only the "Not" or the "not mentioned" of a finding that is listed, too."""
    text = present.get(token.name.removesuffix(f"_{value}")) if _ends(token, value) else None
    return text is not None and canonical_text(token.text) == finding_text(text, value)


def _ends(token: Token, value: str) -> bool:
    return token.name.endswith(f"_{value}")
