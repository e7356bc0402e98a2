"""A site's steps of secure aggregation: it introduces itself, masks an update, signs who is left, gives shares.

The protocol is that of Bonawitz et al. 2017 (doi 10.1145/3133956.3133982): each update is under one mask for every
other site, which cancel in the sum, and one of its own; who drops out is made up for by shares. As in Ma et al. 2023
(arXiv 2308.09883) keys are agreed on once a run, each round's masks are derived, and a site shares what its masks of
that one round are made of together with its update, so that a round that is opened says nothing of another. Masks are
derived from the model that came, too: sites that were sent different ones give a sum of noise (Pasquini et al. 2022,
arXiv 2111.07380, tell what a coordinator learns otherwise).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from client.refusals import UnsafeError
from client.secure.kept import Note
from client.secure.vault import Vault
from common.errors import WireError
from common.secure import crypto, statements
from common.secure.crypto import Words
from common.secure.fixed import EXTRA, MASKED, Update, encode
from common.secure.group import AGREE, MASK, OPEN, Member, Secure
from common.secure.rules import shares_needed, threshold
from common.secure.said import Agreed, Masked, Opened
from common.secure.shares import SIZE, from_text, split, to_text
from common.tasks import Answer, Request, Work


def introduce(vault: Vault, site: str, run: str) -> Member:
    """Give a site's keys for a run, signed; see `Vault.begin`."""
    key = vault.key(run).public_key().public_bytes_raw().hex()
    signature = vault.identity.sign(statements.of_key(run, site, key)).hex()
    return Member(site=site, identity=vault.public, key=key, signature=signature)


@dataclass(frozen=True)
class Party:
    """One site in one round.

    Attributes
    ----------
    vault : Vault
    site : str
    task : Work
    secure : Secure
        The task's part of it.
    request : Request
        In which the task came.
    """

    vault: Vault
    site: str
    task: Work
    secure: Secure
    request: Request

    @cached_property
    def name(self) -> str:
        """The round's."""
        return statements.round_of(self.task, self.secure, self.request.proximal_mu)

    @property
    def others(self) -> list[Member]:
        """The other members."""
        return [member for member in self.secure.members if member.site != self.site]

    def check(self) -> None:
        """Check who takes part, before anything is computed.

        Raises
        ------
        WireError
            A key is not signed for this run.
        UnsafeError
            This site is not among the members, or with another key than it has.
        """
        own = introduce(self.vault, self.site, self.task.run)
        if own not in self.secure.members:
            raise UnsafeError(f"{self.site} is not a member of this round with the key that it has for the run")
        for member in self.others:
            statements.check_member(self.task.run, member)
        if self.secure.stage == MASK and statements.mark_of(self.request.arrays) != self.secure.came:
            raise UnsafeError("the weights that came are not those that the others are said to have been sent")

    def mask(self, update: Update, withheld: tuple[str, ...] = ()) -> Answer:
        """Answer with an update under all its masks, and with the sealed shares of what they are made of."""
        words = encode(update)
        # The score is left out: the same weights with another score are the same update.
        of_update, of_all = (hashlib.sha256(part.tobytes()).hexdigest() for part in (words[: 1 - EXTRA], words))
        words = words + crypto.mask(self._own_seed, len(words))
        order = self.secure.sites
        for member in self.others:
            mask = crypto.mask(self._seed(member), len(words))
            words = words + mask if order.index(self.site) < order.index(member.site) else words - mask
        facts = Masked(sealed=self._sealed()).model_dump_json()
        note = Note(self.task.run, self.name, of_update, of_all, facts, withheld)
        self.vault.kept.keep(note, words)
        return self._masked(note, words)

    def _masked(self, note: Note, words: Words) -> Answer:
        """Let a masked update out, unless another has left under these masks."""
        self.vault.note_masked(self.task.run, self.name, note.update, note.masked)
        return Answer("ok", self.site, facts=note.facts, arrays={MASKED: words}, withheld=note.withheld)

    def done(self) -> Answer | None:
        """Answer what needs no data: who is left, shares, an update that was masked before; None where it is needed."""
        if self.secure.stage != MASK:
            return self.answer()
        known = self.vault.kept.of(self.task.run, self.name)
        return None if known is None else self._masked(*known)

    def answer(self) -> Answer:
        """Sign who is left, or give the shares that open their sum."""
        left = self.secure.left
        if self.site not in left:
            raise UnsafeError(f"{self.site} is not among those who are left")
        if len(left) < threshold(len(self.secure.members)):
            raise UnsafeError(f"{len(left)} of {len(self.secure.members)} sites are left; too few to hide in")
        if self.secure.stage == OPEN:
            self._check_signed()
        self.vault.note_left(self.task.run, self.name, left)
        if self.secure.stage == AGREE:
            signature = self.vault.identity.sign(statements.of_left(self.name, left)).hex()
            return Answer("ok", self.site, facts=Agreed(signature=signature).model_dump_json())
        return Answer("ok", self.site, facts=self._shares().model_dump_json())

    def _check_signed(self) -> None:
        """Check that enough sites have signed that just these are left; where all are, nothing has to be agreed on.

        A set that was signed by the threshold leaves too few sites to open any other, and so does one that all are in:
        a site that has signed, or opened, one set refuses every other.
        """
        if self.secure.left == self.secure.sites:
            return
        statement = statements.of_left(self.name, self.secure.left)
        identities = {member.site: member.identity for member in self.secure.members}
        signed = [
            site
            for site, signature in self.secure.signatures.items()
            if site in self.secure.left and crypto.is_signed(identities[site], signature, statement)
        ]
        if len(signed) < threshold(len(self.secure.members)):
            raise UnsafeError(f"{len(signed)} sites have signed who is left; too few")

    @cached_property
    def _own_seed(self) -> int:
        return crypto.number(self.vault.secret(self.task.run), "own mask", self.name)

    @cached_property
    def _pairs(self) -> dict[str, bytes]:
        """The key that this site and each other agree on for the run."""
        run, key = self.task.run, self.vault.key(self.task.run)
        return {m.site: crypto.pair_key(key, m.key, run, *sorted((self.site, m.site))) for m in self.others}

    def _seed(self, member: Member) -> int:
        """Give what the mask between this site and another is made of, in this round."""
        return crypto.number(self._pairs[member.site], "pair mask", self.name)

    def _channel(self, member: Member, sender: str) -> bytes:
        """Give the key by which this site and another seal what one of them sends in this round."""
        return crypto.derive(self._pairs[member.site], 32, "sealed", self.name, sender)

    @cached_property
    def _split(self) -> dict[str, list[int]]:
        """Share this site's own seed, under its name, and that of each pair, under the other's."""
        sites, secret = self.secure.sites, self.vault.secret(self.task.run)
        seeds = {member.site: self._seed(member) for member in self.others} | {self.site: self._own_seed}
        degree = shares_needed(len(sites)) - 1
        return {
            site: split(
                seeds[site],
                [crypto.number(secret, "coefficient", self.name, site, power) for power in range(degree)],
                len(sites),
            )
            for site in sites
        }

    def _sealed(self) -> dict[str, str]:
        """Seal for every other site its share of every seed, in the order of the members."""
        order = self.secure.sites
        sealed = {}
        for member in self.others:
            place = order.index(member.site)
            plain = b"".join(self._split[site][place].to_bytes(SIZE, "big") for site in order)
            sealed[member.site] = crypto.seal(self._channel(member, self.site), plain).hex()
        return sealed

    def _shares(self) -> Opened:
        """Give this site's shares: of each that is left its own seed, and of its pairs with those who are not.

        Never both of one pair's ends: of two that are left, the seed between them stays secret.
        """
        own, pairs = {}, {}
        gone = [site for site in self.secure.sites if site not in self.secure.left]
        for member in self.secure.members:
            if member.site in self.secure.left:
                held = self._held(member)
                own[member.site] = to_text(held[member.site])
                pairs[member.site] = {site: to_text(held[site]) for site in gone}
        return Opened(own=own, pairs=pairs)

    def _held(self, member: Member) -> dict[str, int]:
        """Give this site's shares of what a member has shared."""
        order = self.secure.sites
        if member.site == self.site:
            return {site: shares[order.index(self.site)] for site, shares in self._split.items()}
        sealed = bytes.fromhex(self.secure.sealed.get(member.site, ""))
        plain = crypto.unseal(self._channel(member, member.site), sealed)
        if len(plain) != SIZE * len(order):
            raise WireError(f"the shares of site {member.site} are {len(plain)} bytes; expected {SIZE * len(order)}")
        pieces = [plain[start : start + SIZE].hex() for start in range(0, len(plain), SIZE)]
        try:
            return dict(zip(order, map(from_text, pieces), strict=True))
        except ValueError:
            raise WireError(f"a share of site {member.site} is none") from None
