"""What the check says of the embedding tables."""

from __future__ import annotations

from collections.abc import Iterator

from client.check.cohort import used_tokens
from client.check.findings import Said, each
from client.site_file import Site
from common.concepts import UNKNOWN
from common.embeddings import load_table
from common.errors import CohortError, TableError

_SHOWN = 5


def look(site: Site) -> Iterator[Said]:
    """Open every table of the site file and say what it covers."""
    if not site.tables:
        yield "warn", "[tables] names none; the site can then take part with one-hot alone"
    try:
        used = used_tokens(site)
    except CohortError:  # said in its own section
        used = {token.name for token in site.vocabulary}
    for name in site.tables:
        try:
            yield from _table(site, name, used)
        except TableError as error:
            for text in each(error):
                yield "fail", f"{name}: {text}"


def _table(site: Site, name: str, used: set[str]) -> Iterator[Said]:
    table = load_table(site.tables[name])
    known = {table.key_of(token) for token in table.tokens}
    missing = [token for token in site.vocabulary if table.key_of(token) not in known]
    covered = len(site.vocabulary) - len(missing)
    dimension = table.vectors.shape[1]
    mark = table.fingerprint().digest[:16]
    yield (
        "ok",
        f"{name}: {table.model}, {dimension} numbers a token, fingerprint {mark}, covers {covered:,} of "
        f"{len(site.vocabulary):,} tokens ({covered / len(site.vocabulary):.0%})",
        {"table": name, "dimension": dimension, "fingerprint": mark, "covered": covered, "of": len(site.vocabulary)},
    )
    yield from _missing(name, [token.name for token in missing], used)


def _missing(name: str, missing: list[str], used: set[str]) -> Iterator[Said]:
    """Say what lacks a row: a task fails for want of those that encounters have, unless they mean "unknown"."""
    needed = [token for token in missing if token in used and not token.endswith(f"_{UNKNOWN}")]
    if needed:
        yield (
            "fail",
            f"{name}: no row for {len(needed)} tokens that encounters have, such as {', '.join(needed[:_SHOWN])}; "
            "build a table from this site's file: sitebridge embed build MODEL --site site.toml --out FILE",
        )
    elif missing:
        yield (
            "warn",
            f"{name}: no row for {', '.join(missing[:_SHOWN])}{'...' if len(missing) > _SHOWN else ''}; no encounter "
            "has them, or they mean unknown: a federation that keeps unknown values cannot use this table",
        )
