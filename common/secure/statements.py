"""What sites sign, and what every key of a round is bound to."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from common.errors import WireError
from common.secure.crypto import is_signed, said
from common.secure.group import Member, Secure, digest_of

if TYPE_CHECKING:
    from common.tasks import Arrays, Work


def round_of(task: Work, secure: Secure, proximal_mu: float) -> str:
    """Name a round of secure aggregation after all that its members are asked: 64 hexadecimal digits.

    Who was asked anything else, or beside others, has another name for it, and so other masks. The start of the run is
    left out: a resumed run goes on with the round.
    """
    asked = json.dumps(task.model_dump(mode="json", exclude={"session", "secure"}), sort_keys=True)
    name = said("round", asked, proximal_mu, secure.came, secure.equal, digest_of(secure.members))
    return hashlib.sha256(name).hexdigest()


def mark_of(arrays: Arrays) -> str:
    """Give the SHA-256 of the arrays of a task."""
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        digest.update(said(name, values.size) + np.asarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def of_key(run: str, site: str, key: str) -> bytes:
    """Say that a key is a site's for a run."""
    return said("key", run, site, key)


def of_left(name: str, left: tuple[str, ...]) -> bytes:
    """Say who is left of a round."""
    return said("left", name, list(left))


def check_member(run: str, member: Member) -> None:
    """Check that a member's key is signed by its identity for this run.

    Raises
    ------
    WireError
        It is not: somebody put another key in its place.
    """
    if not is_signed(member.identity, member.signature, of_key(run, member.site, member.key)):
        raise WireError(f"the key of site {member.site} is not signed by its identity for run {run!r}")
