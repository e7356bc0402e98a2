"""The protocol, site by site: the sum and nothing else comes out, whoever drops out and whatever a coordinator asks."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from client.refusals import UnsafeError
from client.secure.steps import Party, introduce
from client.secure.vault import Vault
from common import __version__
from common.config import Training
from common.errors import SitebridgeError, WireError
from common.secure import crypto, statements
from common.secure.fixed import MASKED, Update, decode, encode
from common.secure.group import AGREE, MASK, OPEN, Member, Secure
from common.secure.rules import threshold
from common.secure.said import Agreed, Masked, Opened, read
from common.secure.shares import from_text
from common.shape import ModelShape
from common.tasks import Answer, Embedding, Request, Work
from server.secure import unmasked

SIZE = 50
WEIGHTS = {"cnn+linear": np.arange(SIZE, dtype=np.float32)}


def task_of(secure: Secure, number: int = 1, run: str = "r", **changes: Any) -> Work:
    fields: dict[str, Any] = {
        "version": __version__,
        "run": run,
        "session": 1,
        "strategy": "source",
        "embedding": Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text"),
        "model": ModelShape(),
        "training": Training(rounds=9, epochs=1, batch_size=32, optimiser="sgd", learning_rate=0.01),
        "seed": 1,
        "round": number,
        "secure": secure,
    }
    return Work.model_validate(fields | changes)


class Federation:
    """Sites with their vaults, and a coordinator that may ask anything of them."""

    def __init__(self, sites: int, run: str = "r") -> None:
        self.run = run
        self.vaults = {f"site-{number}": Vault(None) for number in range(sites)}
        for vault in self.vaults.values():
            vault.begin(run)
        self.members = tuple(introduce(vault, site, run) for site, vault in self.vaults.items())
        self.round = 1

    @property
    def sites(self) -> list[str]:
        return list(self.vaults)

    def party(self, site: str, secure: Secure, mu: float = 0.0, **changes: Any) -> Party:
        """A site at a step, as the agent makes it."""
        task = task_of(secure, self.round, self.run, **changes)
        party = Party(self.vaults[site], site, task, secure, Request(task.model_dump_json(), dict(WEIGHTS), mu))
        party.check()
        return party

    def step(self, stage: str, **more: Any) -> Secure:
        content = {"stage": stage, "members": self.members, "came": statements.mark_of(WEIGHTS), **more}
        return Secure.model_validate(content)

    def mask(self, updates: dict[str, Update], **changes: Any) -> dict[str, Answer]:
        return {site: self.party(site, self.step(MASK), **changes).mask(each) for site, each in updates.items()}

    def agree(self, left: Iterable[str], asked: Iterable[str]) -> dict[str, str]:
        step = self.step(AGREE, left=tuple(left))
        return {site: read(Agreed, self.party(site, step).answer()).signature for site in asked}

    def opening(self, site: str, masked: dict[str, Answer], left: list[str], signatures: dict[str, str]) -> Secure:
        sealed = {other: read(Masked, masked[other]).sealed[site] for other in left if other != site}
        return self.step(OPEN, left=tuple(left), sealed=sealed, signatures=signatures)

    def open(
        self, masked: dict[str, Answer], left: list[str], asked: Iterable[str], signatures: dict[str, str] | None = None
    ) -> dict[str, Opened]:
        given = signatures or {}
        return {
            site: read(Opened, self.party(site, self.opening(site, masked, left, given)).answer()) for site in asked
        }

    def total(self, masked: dict[str, Answer], opened: dict[str, Opened]) -> np.ndarray:  # type: ignore[type-arg]
        return unmasked(self.sites, {site: answer.arrays[MASKED] for site, answer in masked.items()}, opened)


def updates_of(sites: Iterable[str], seed: int = 0) -> dict[str, Update]:
    generator = np.random.default_rng(seed)
    return {
        site: Update(generator.normal(0, 0.1, SIZE), float(generator.integers(11, 5000)), generator.uniform(), 40.0)
        for site in sites
    }


def plain(updates: Iterable[Update]) -> np.ndarray:  # type: ignore[type-arg]
    return np.sum([encode(each) for each in updates], axis=0, dtype=np.uint64)


@given(st.integers(3, 8), st.data())
def test_the_sum_is_that_of_those_who_are_left_whoever_drops_out_and_when(sites: int, data: st.DataObject) -> None:
    """Drop-outs before the masked update, before the signature and before the shares, down to the threshold."""
    federation = Federation(sites)
    needed = threshold(sites)
    updates = updates_of(federation.sites, data.draw(st.integers(0, 1000)))

    def some(of: list[str]) -> list[str]:
        chosen = data.draw(st.lists(st.sampled_from(of), min_size=needed, max_size=len(of), unique=True))
        return [site for site in federation.sites if site in chosen]

    left = some(federation.sites)
    masked = federation.mask({site: updates[site] for site in left})
    signatures = federation.agree(left, some(left)) if len(left) < sites else {}
    opened = federation.open(masked, left, some(left), signatures)
    arrived = data.draw(st.permutations(left))
    total = federation.total({site: masked[site] for site in arrived}, opened)
    assert np.array_equal(total, plain(updates[site] for site in left))  # to the bit
    weights = np.array([updates[site].encounters for site in left])
    exact = weights @ np.array([updates[site].change for site in left]) / weights.sum()
    assert np.abs(decode(total, len(left)).change - exact).max() < 2.0**-27


def test_fewer_than_the_threshold_open_nothing() -> None:
    federation = Federation(5)
    updates = updates_of(federation.sites)
    left = federation.sites[:3]
    masked = federation.mask({site: updates[site] for site in left})
    with pytest.raises(UnsafeError, match="3 of 5 sites are left; too few to hide in"):
        federation.agree(left, left)
    left = federation.sites[:4]
    masked |= federation.mask({left[3]: updates[left[3]]})
    signatures = federation.agree(left, left)
    opened = federation.open(masked, left, left[:3], signatures)  # one site too few gives its shares
    assert not np.array_equal(federation.total(masked, opened), plain(updates[site] for site in left))


def test_nothing_smaller_than_the_whole_sum_comes_of_all_that_crosses() -> None:
    """From each masked update everything is subtracted that the coordinator learns: own masks, masks with who is gone.

    What is left of any fewer sites than all that are left still looks drawn at random; that of all is the sum.
    """
    federation = Federation(6)
    order, left = federation.sites, federation.sites[:5]
    updates = updates_of(left)
    masked = federation.mask(updates)
    opened = federation.open(masked, left, left, federation.agree(left, left))
    learnt = {}
    for site in left:
        rest = federation.total({site: masked[site]}, {s: _with_pairs(o, site, order) for s, o in opened.items()})
        learnt[site] = rest
    for count in range(1, len(left) + 1):
        for chosen in combinations(left, count):
            rest = np.sum([learnt[site] for site in chosen], axis=0, dtype=np.uint64)
            is_sum = np.array_equal(rest, plain(updates[site] for site in chosen))
            assert is_sum == (count == len(left))
            spread = np.abs(rest.view(np.int64).astype(float)).mean() / 2**62
            assert is_sum or 0.7 < spread < 1.3  # uniform: 1; of a plain sum far less than 0.01


def _with_pairs(said: Opened, site: str, order: list[str]) -> Opened:
    """Let all but one site count as gone, with the shares that really crossed; where none did, a share of 0."""
    shares = said.pairs[site]
    return Opened(own=said.own, pairs={site: {other: shares.get(other, "0" * 64) for other in order if other != site}})


def test_a_masked_update_does_not_show_what_is_under_it() -> None:
    """Bytes of a masked update are uniform, be it zeros; and two different ones are not told apart by their bytes."""
    zeros = Update(np.zeros(20_000), 11.0)
    ones = Update(np.full(20_000, 0.5), 4000.0)
    masked = [Federation(3).mask({"site-1": each})["site-1"].arrays[MASKED] for each in (zeros, ones)]
    for words in masked:
        counts = np.bincount(np.frombuffer(words.tobytes(), np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert 1e-9 < chi2.sf(statistic, 255) < 1 - 1e-9
    same_bits = np.unpackbits((masked[0] ^ masked[1]).view(np.uint8)).mean()
    assert 0.49 < same_bits < 0.51
    clear = np.bincount(np.frombuffer(encode(ones).tobytes(), np.uint8), minlength=256)
    assert clear.max() > 50_000  # without masks the same test fails


def test_no_share_of_a_mask_between_two_who_are_left_crosses() -> None:
    federation = Federation(4)
    left = federation.sites[:3]
    masked = federation.mask(updates_of(left))
    opened = federation.open(masked, left, left, federation.agree(left, left))
    for said in opened.values():
        assert set(said.own) == set(left)
        assert {site: set(shares) for site, shares in said.pairs.items()} == {site: {"site-3"} for site in left}


def test_a_site_never_gives_both_kinds_of_shares_of_one_site() -> None:
    """Own mask and masks with others of the same site: whoever gave the one refuses the other, in either order."""
    federation = Federation(4)
    everybody, three = federation.sites, federation.sites[:3]
    masked = federation.mask(updates_of(everybody))
    federation.open(masked, everybody, everybody[:2])  # two have given shares of the own mask of site 3
    for site in everybody[:2]:
        with pytest.raises(UnsafeError, match="part of a sum over site-0, site-1, site-2, site-3; asked for site-0"):
            federation.agree(three, [site])
    promised = federation.agree(three, [three[2]])  # one has promised that site 3 is gone
    with pytest.raises(UnsafeError, match=r"part of a sum over site-0, site-1, site-2; asked for site-0, .*site-3"):
        federation.open(masked, everybody, [three[2]])
    with pytest.raises(UnsafeError, match="1 sites have signed who is left; too few"):
        federation.open(masked, three, [three[2]], promised)


def test_shares_of_a_part_need_the_signatures_of_enough_of_it() -> None:
    federation = Federation(5)
    left, gone = federation.sites[:4], federation.sites[4]
    masked = federation.mask(updates_of(federation.sites))
    signatures = federation.agree(left, left)
    with pytest.raises(UnsafeError, match="0 sites have signed"):
        federation.open(masked, left, [left[0]])
    forged = signatures | {left[0]: signatures[left[1]]}
    with pytest.raises(UnsafeError, match="3 sites have signed"):
        federation.open(masked, left, [left[0]], forged)
    few = {site: signatures[site] for site in left[:3]} | {gone: signatures[left[3]]}
    with pytest.raises(UnsafeError, match="3 sites have signed"):
        federation.open(masked, left, [left[0]], few)
    other_round = copy.copy(federation)
    other_round.round = 2
    other_round.mask(updates_of(federation.sites))
    stale = other_round.agree(left, left)
    with pytest.raises(UnsafeError, match="0 sites have signed"):
        federation.open(masked, left, [left[0]], stale)
    federation.open(masked, left, [left[0]], signatures)


def test_two_updates_never_leave_under_the_same_masks() -> None:
    federation = Federation(3)
    updates = updates_of(federation.sites)
    first = federation.mask(updates)
    again = federation.mask(updates)
    for site in updates:  # the same question has the same answer, byte by byte
        assert np.array_equal(first[site].arrays[MASKED], again[site].arrays[MASKED])
        assert first[site].facts == again[site].facts
    moved = Update(updates["site-0"].change + 2.0**-20, updates["site-0"].encounters)
    with pytest.raises(UnsafeError, match="another update has left under the masks of this round"):
        federation.mask({"site-0": moved})
    scored = Update(updates["site-0"].change, updates["site-0"].encounters, 0.1, 40.0)
    with pytest.raises(UnsafeError, match="another update has left"):
        federation.mask({"site-0": scored})


def test_the_same_update_is_never_in_two_sums() -> None:
    """Of two sums that differ by one site, the difference would be that site's update."""
    federation = Federation(4)
    updates = updates_of(federation.sites)
    federation.open(federation.mask(updates), federation.sites, federation.sites)
    federation.run = "another"
    for vault in federation.vaults.values():
        vault.begin("another")
    federation.members = tuple(introduce(vault, site, "another") for site, vault in federation.vaults.items())
    three = federation.sites[:3]
    federation.mask({site: updates[site] for site in three})
    with pytest.raises(UnsafeError, match="part of a sum over site-0, site-1, site-2, site-3; asked for"):
        federation.agree(three, three[:1])
    fresh = updates_of(federation.sites, seed=9)
    federation.round = 2
    federation.mask({site: fresh[site] for site in three})
    assert federation.agree(three, three[:1])


def test_what_a_round_opens_says_nothing_of_another() -> None:
    """A site drops out in round 2, so that its masks of round 2 are opened; its update of round 1 stays covered."""
    federation = Federation(4)
    everybody, left = federation.sites, federation.sites[:3]
    updates = updates_of(everybody)
    first = federation.mask(updates)
    opened_first = federation.open(first, everybody, everybody)
    federation.round = 2
    second = federation.mask(updates_of(left, seed=2))
    opened = federation.open(second, left, left, federation.agree(left, left))
    places = {everybody.index(site) + 1: site for site in left}
    own = join_of({place: opened_first[site].own["site-3"] for place, site in places.items()})
    rest = first["site-3"].arrays[MASKED] - crypto.mask(own, SIZE + 3)
    for site in left:  # site 3 comes last: it subtracted all of its masks with others
        pair = join_of({place: opened[other].pairs[site]["site-3"] for place, other in places.items()})
        rest = rest + crypto.mask(pair, SIZE + 3)
    assert not np.array_equal(rest, encode(updates["site-3"]))
    assert np.abs(rest.view(np.int64).astype(float)).mean() / 2**62 > 0.6


def join_of(shares: dict[int, str]) -> int:
    from common.secure.shares import join

    return join({place: from_text(share) for place, share in shares.items()})


def test_a_coordinator_that_swaps_a_key_is_caught() -> None:
    federation = Federation(3)
    mine, other = Vault(None), federation.members[1]
    mine.begin("r")
    forged = introduce(mine, "site-1", "r")
    for swapped in (
        other.model_copy(update={"key": forged.key}),  # under the site's own identity
        other.model_copy(update={"key": forged.key, "signature": forged.signature}),
        introduce_for(federation.vaults["site-1"], "site-1", "an old run"),  # the site's own, of another run
        introduce(federation.vaults["site-1"], "site-2", "r"),  # of another name
    ):
        members = [federation.members[0], swapped.model_copy(update={"site": "site-1"}), federation.members[2]]
        with pytest.raises(WireError, match="the key of site site-1 is not signed by its identity for run 'r'"):
            federation.party("site-0", Secure.model_validate(federation.step(MASK).model_dump() | {"members": members}))
    members = [federation.members[0], forged, federation.members[2]]
    step = Secure.model_validate(federation.step(MASK).model_dump() | {"members": members})
    with pytest.raises(UnsafeError, match="site-1 is not a member of this round with the key that it has"):
        federation.party("site-1", step)


def introduce_for(vault: Vault, site: str, run: str) -> Member:
    vault.begin(run)
    return introduce(vault, site, run)


@pytest.mark.parametrize("what", ["weights", "training", "proximal_mu", "members", "round"])
def test_sites_that_are_asked_different_things_give_no_sum(what: str) -> None:
    """A coordinator that sends one site the model and the others a dead one, to find its update alone in the sum."""
    federation = Federation(4 if what == "members" else 3)
    updates = updates_of(federation.sites[:3])
    masked = federation.mask({site: updates[site] for site in ("site-0", "site-1")})
    step = federation.step(MASK)
    changes: dict[str, Any] = {}
    if what == "weights":
        step = step.model_copy(update={"came": "0" * 64})
        with pytest.raises(UnsafeError, match="the weights that came are not those that the others are said"):
            federation.party("site-2", step)
        other = {"cnn+linear": WEIGHTS["cnn+linear"] * 0}
        step = step.model_copy(update={"came": statements.mark_of(other)})
        task = task_of(step)
        party = Party(federation.vaults["site-2"], "site-2", task, step, Request(task.model_dump_json(), other))
        party.check()
    else:
        if what == "training":
            changes = {"training": Training(rounds=9, epochs=1, batch_size=64, optimiser="sgd", learning_rate=0.01)}
        elif what == "round":
            federation.round = 2
        elif what == "members":
            step = step.model_copy(update={"members": federation.members[:3]})
        party = federation.party("site-2", step, mu=0.5 if what == "proximal_mu" else 0.0, **changes)
    masked["site-2"] = party.mask(updates["site-2"])
    federation.round = 1
    with pytest.raises(SitebridgeError):  # the shares of one are sealed for another round, or it masked nothing in this
        federation.open(masked, federation.sites[:3], federation.sites[:3])


def test_what_is_said_of_who_is_left() -> None:
    federation = Federation(4)
    masked = federation.mask(updates_of(federation.sites))
    left = federation.sites[1:]
    with pytest.raises(UnsafeError, match="site-0 is not among those who are left"):
        federation.agree(left, ["site-0"])
    with pytest.raises(ValueError, match="left are others than members, or in another order"):
        federation.step(AGREE, left=("site-2", "site-1", "site-3"))
    with pytest.raises(ValueError, match="left are others than members"):
        federation.step(AGREE, left=("site-1", "site-2", "site-9"))
    with pytest.raises(ValueError, match="a member, or a key, is there twice"):
        federation.step(MASK, members=(federation.members[0], *federation.members[:3]))
    with pytest.raises(ValueError, match="at least 3"):
        federation.step(MASK, members=federation.members[:2])
    federation.round = 2
    with pytest.raises(UnsafeError, match="this site has masked nothing in this round"):
        federation.open(masked, federation.sites, ["site-1"])


def test_shares_that_were_changed_on_their_way() -> None:
    federation = Federation(3)
    masked = federation.mask(updates_of(federation.sites))
    step = federation.opening("site-0", masked, federation.sites, {})
    for sealed in (
        {"site-1": step.sealed["site-2"], "site-2": step.sealed["site-1"]},
        {"site-1": step.sealed["site-1"][:-2], "site-2": step.sealed["site-2"]},
        {"site-1": step.sealed["site-1"]},
    ):
        with pytest.raises(WireError, match="sealed shares of another round or site, or changed on their way"):
            federation.party("site-0", step.model_copy(update={"sealed": sealed})).answer()


def test_an_update_out_of_range_stays_and_leaves_no_note() -> None:
    federation = Federation(3)
    with pytest.raises(WireError, match="a weight moved by 65"):
        federation.mask({"site-0": Update(np.full(SIZE, 65.0), 20.0)})
    assert federation.mask(updates_of(["site-0"]))["site-0"].code == "ok"
