"""What the check says of the embedding tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from client.check.cohort import used_tokens
from client.check.findings import Said, each
from client.site_file import Site
from client.vocabulary.coverage import FAR, find_nearest
from client.vocabulary.listing import read_vocabulary, spoken
from common.concepts import UNKNOWN, Token
from common.embeddings import load_table
from common.errors import CohortError, SitebridgeError, TableError

_SHOWN = 5


def look(site: Site, trained_on: Path | None = None) -> Iterator[Said]:
    """Open every table of the site file and say what it covers.

    Parameters
    ----------
    trained_on : Path, optional
        The vocabulary that the model is trained on; concepts far from all of it are warned of.
    """
    if not site.tables:
        yield "warn", "[tables] names none; the site can then take part with one-hot alone"
    try:
        used = used_tokens(site)
    except CohortError:  # said in its own section
        used = {token.name for token in site.vocabulary}
    known: Sequence[Token] = ()
    try:
        known = () if trained_on is None else spoken(read_vocabulary(str(trained_on))[0])
    except SitebridgeError as error:
        yield from (("fail", text) for text in each(error))
    for name in site.tables:
        try:
            yield from _table(site, name, used)
            if known:
                yield from _far(site, name, known, used)
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
    said = [token for token in site.vocabulary if token.sentence is not None and table.key == "text"]
    if silent := [token.name for token in said if token.sentence not in known]:
        yield (
            "warn",
            f"{name}: no row for the sentences of {len(silent)} tokens, such as {', '.join(silent[:_SHOWN])}; a "
            "federation that shows absence by sentences, the default, cannot use this table: build it again",
        )


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


def _far(site: Site, name: str, known: Sequence[Token], used: set[str]) -> Iterator[Said]:
    """Say which concepts that encounters have lie far from all that the model is trained on."""
    table = load_table(site.tables[name])
    held = {table.key_of(token) for token in table.tokens}
    if lacking := sum(table.key_of(token) not in held for token in known):
        yield (
            "warn",
            f"{name}: no row for {lacking} of {len(known)} concepts the model is trained on, so none is compared; "
            "build it over both: sitebridge embed build MODEL --site site.toml --texts VOCABULARY.csv --out FILE",
        )
        return
    own = [token for token in spoken(site.vocabulary) if token.name in used and table.key_of(token) in held]
    nearest = find_nearest(known, table, own, table)
    far = sorted((one for one in nearest if one.cosine < FAR), key=lambda one: one.cosine)
    if not far:
        yield "ok", f"{name}: each of {len(own)} concepts has a near one in what the model is trained on"
        return
    listed = ", ".join(f'"{one.token.text}" ({one.cosine:.2f})' for one in far[:_SHOWN])
    yield (
        "warn",
        f"{name}: {len(far)} of {len(own)} concepts are far from all that the model is trained on: {listed}"
        f"{' and more' if len(far) > _SHOWN else ''}; it hardly knows them. Where another word is as right, write it "
        "under [cohort.texts]; sitebridge embed coverage shows the nearest",
        {"table": name, "far": [one.token.name for one in far], "of": len(own)},
    )
