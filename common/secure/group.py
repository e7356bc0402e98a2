"""The part of a task that belongs to secure aggregation: who takes part, with which keys, and what is asked."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.config import SiteName
from common.secure.rules import LEAST, MOST
from common.toml import Declared

Stage = Literal["mask", "agree", "open"]
MASK: Stage = "mask"
AGREE: Stage = "agree"
OPEN: Stage = "open"

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Key  # SHA-256 of an identity, see `common.secure.crypto.fingerprint`
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Sealed = Annotated[str, Field(pattern=r"^[0-9a-f]*$", max_length=2 * (32 * (MOST + 1) + 16))]


class Member(Declared):
    """A site with its keys, as it gives them in its greeting.

    Attributes
    ----------
    site : str
    identity : str
        The Ed25519 key that it keeps for good.
    key : str
        The X25519 key of this run.
    signature : str
        By `identity`, over `common.secure.statements.of_key`.
    """

    site: SiteName
    identity: Key
    key: Key
    signature: Signature


class Secure(Declared):
    """What is asked of a site in one step of a secure round.

    Attributes
    ----------
    stage : str
        "mask": train, and send the update masked. "agree": sign who is left. "open": give the shares that take the
        masks off the sum of those who are left.
    members : tuple of Member
        All who were asked to mask, this site too, in the order of the configuration.
    came : str
        `common.secure.statements.mark_of` the weights that each of them is sent.
    equal : bool
        Whether every member counts alike in the mean, and not by its encounters.
    left : tuple of str
        Those whose masked updates came, in the same order; with "mask", none.
    sealed : dict of str to str
        With "open": what each of the others that are left sealed for this site.
    signatures : dict of str to str
        With "open", where not all are left: who has signed that these are left.
    """

    stage: Stage
    members: Annotated[tuple[Member, ...], Field(min_length=LEAST, max_length=MOST)]
    came: Key
    equal: bool = False
    left: Annotated[tuple[SiteName, ...], Field(max_length=MOST)] = ()
    sealed: Annotated[dict[SiteName, Sealed], Field(max_length=MOST)] = Field(default_factory=dict)
    signatures: Annotated[dict[SiteName, Signature], Field(max_length=MOST)] = Field(default_factory=dict)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the members."""
        return tuple(member.site for member in self.members)

    @model_validator(mode="after")
    def _agree(self) -> Secure:
        sites = self.sites
        if len(set(sites)) < len(sites) or len({member.key for member in self.members}) < len(sites):
            raise ValueError("a member, or a key, is there twice")
        if self.left != tuple(site for site in sites if site in self.left):
            raise ValueError("left are others than members, or in another order")
        return self


def digest_of(members: tuple[Member, ...]) -> str:
    """Give the SHA-256 of who takes part, with which keys."""
    words = "|".join(f"{member.site} {member.identity} {member.key}" for member in members)
    return hashlib.sha256(words.encode()).hexdigest()
