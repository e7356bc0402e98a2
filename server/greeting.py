"""The first phase of every run: who is there, with which version, and in which embedding space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from common import __version__
from common.config import ONE_HOT, Federation
from common.embeddings import Fingerprint
from common.errors import SiteError, TableError, WireError
from common.secure.group import Member
from common.secure.statements import check_member
from common.tasks import Answer, Embedding, Greet
from server.courier import Courier
from server.events import Events
from server.exchange import Errand

_MOST = 1_000_000  # columns of a table


@dataclass(frozen=True)
class Space:
    """The embedding space that all sites of a run share.

    Attributes
    ----------
    embedding : Embedding
        As every task names it; for one-hot with the tokens of all sites, which are its columns.
    dimension : int
        D.
    fingerprint : Fingerprint
        Of the first site's table.
    members : dict of str to Member
        The sites' keys for secure aggregation, where the run has it.
    """

    embedding: Embedding
    dimension: int
    fingerprint: Fingerprint
    members: Mapping[str, Member] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """How every task of one start of a run says where it comes from; see `common.tasks.Task`."""

    run: str
    session: int
    federation: str


def greet(
    courier: Courier, federation: Federation, origin: Origin, name: str, wanted: Sequence[str], events: Events
) -> Space:
    """Greet the wanted sites and make sure that they share one space.

    Raises
    ------
    SiteError
        A site is missing, runs another version, or has another embedding space. Names the site and what differs.
    """
    choices = federation.model_dump(include={"normalisation", "unknown", "absence"})
    embedding = Embedding(name=name, **choices)
    secure = federation.aggregation.secure
    task = Greet(version=__version__, embedding=embedding, model=federation.model, secure=secure, **vars(origin))
    answers = courier.meet(task.model_dump_json(), Errand("greet", name, 0), wanted)
    facts = {site: _facts(answer, site) for site, answer in answers.items()}
    fingerprints = {site: _fingerprint(fact["fingerprint"], site) for site, fact in facts.items()}
    for site, fact in facts.items():
        events.write(
            "greeted", site=site, version=fact["version"], embedding=name, fingerprint=fingerprints[site].digest[:16]
        )
    space = _shared(embedding, facts, fingerprints)
    if secure:
        space = replace(space, members={site: _member(fact, site, origin.run) for site, fact in facts.items()})
    events.write("space", embedding=space.embedding.model_dump(mode="json"), fingerprint=space.fingerprint.to_json())
    return space


def _shared(
    embedding: Embedding, facts: Mapping[str, dict[str, Any]], fingerprints: Mapping[str, Fingerprint]
) -> Space:
    """Give the space that all sites share."""
    first = next(iter(fingerprints.values()))
    if embedding.name == ONE_HOT:
        vocabulary = tuple(sorted({token for fact in facts.values() for token in fact["vocabulary"]}))
        shared = embedding.model_copy(update={"vocabulary": vocabulary})
        return Space(shared, len(vocabulary), first)
    _demand_one_space(embedding.name, fingerprints)
    return Space(embedding, first.dimension, first)


def _facts(answer: Answer, site: str) -> dict[str, Any]:
    """Read a greeting's facts, which come from another organisation's machine."""
    try:
        facts = json.loads(answer.facts)
        if not isinstance(facts["fingerprint"], dict) or not all(isinstance(t, str) for t in facts["vocabulary"]):
            raise TypeError
        version = facts["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SiteError(f"site {site}: its greeting cannot be read; it may run another version of Sitebridge") from None
    if version != __version__:
        raise SiteError(
            f"site {site} runs Sitebridge {str(version)[:20]!r}, the coordinator {__version__}; install one"
        )
    return dict(facts)


def _member(facts: Mapping[str, Any], site: str, run: str) -> Member:
    """Read a site's keys; the sites check each other's too."""
    try:
        member = Member.model_validate(facts.get("secure"))
        check_member(run, member)
    except (ValidationError, WireError):
        raise SiteError(f"site {site}: its keys for secure aggregation cannot be read, or are not signed") from None
    if member.site != site:
        raise SiteError(f"site {site}: its keys for secure aggregation are of {member.site!r}")
    return member


def _fingerprint(content: dict[str, Any], site: str) -> Fingerprint:
    try:
        fingerprint = Fingerprint.from_json(content)
    except TableError:
        raise SiteError(f"site {site}: the fingerprint of its table cannot be read") from None
    if not 0 < fingerprint.dimension <= _MOST:
        raise SiteError(f"site {site}: its table has {fingerprint.dimension} columns; at most {_MOST:,} are accepted")
    return fingerprint


def _demand_one_space(name: str, fingerprints: Mapping[str, Fingerprint]) -> None:
    (first, reference), *others = fingerprints.items()
    for site, fingerprint in others:
        differences = reference.difference(fingerprint)
        if differences:
            raise SiteError(
                f"embedding {name!r}: sites {first} and {site} are in different spaces: {'; '.join(differences)}"
            )
