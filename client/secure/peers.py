"""With whom a site is in a secure sum: what its policy says of their identities, and what its audit log notes."""

from __future__ import annotations

from client.policy import Policy
from client.refusals import UnknownPeerError
from common.secure.crypto import fingerprint
from common.secure.group import Secure


def check_peers(policy: Policy, site: str, secure: Secure) -> None:
    """Check that every other member is one that the policy names, with the identity that it names.

    Without names, a coordinator could be all of them: it would make up their keys, sign them, and open the sum.

    Raises
    ------
    UnknownPeerError
        One is not. Names it, with the fingerprint that came.
    """
    if policy.peers is None:
        return
    for other, came in fingerprints(secure).items():
        if other != site and policy.peers.get(other) != came:
            known = "names another identity of it" if other in policy.peers else "does not name it"
            raise UnknownPeerError(f"site {other} with identity {came}: policy.peers {known}")


def fingerprints(secure: Secure) -> dict[str, str]:
    """Give the fingerprint of every member's identity."""
    return {member.site: fingerprint(member.identity) for member in secure.members}
