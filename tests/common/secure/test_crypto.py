"""Ciphers and keys: as their standards have them, and never the same for two uses."""

from __future__ import annotations

import hmac
import struct

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.errors import WireError
from common.secure.crypto import derive, fingerprint, is_signed, mask, number, pair_key, said, seal, unseal
from common.secure.shares import PRIME


def test_derivation_is_hkdf_of_the_purpose() -> None:
    """RFC 5869 by hand: extract with a salt of zeros, expand with the purpose."""
    extracted = hmac.digest(bytes(32), b"key", "sha256")
    expanded = hmac.digest(extracted, said("use", 1) + b"\x01", "sha256")
    assert derive(b"key", 32, "use", 1) == expanded


def test_no_two_purposes_share_a_key() -> None:
    purposes: list[tuple[object, ...]] = [("a", "b"), ("a,b",), ("ab",), ("a", "", "b"), ("b", "a"), ("a", ["b"]), ()]
    assert len({derive(b"key", 32, *each) for each in purposes}) == len(purposes)
    assert len({number(b"key", *each) for each in purposes}) == len(purposes)
    assert all(0 <= number(b"key", each) < PRIME for each in range(200))


def test_both_sites_of_a_pair_agree() -> None:
    one, two, three = (X25519PrivateKey.generate() for _ in range(3))
    public = [key.public_key().public_bytes_raw().hex() for key in (one, two, three)]
    assert pair_key(one, public[1], "run") == pair_key(two, public[0], "run")
    assert pair_key(one, public[1], "run") != pair_key(one, public[1], "other run")
    assert pair_key(one, public[1], "run") != pair_key(one, public[2], "run")
    for wrong in ("00" * 32, "ab", "zz"):  # the first makes every shared key the same
        with pytest.raises(WireError, match="a public key that is none"):
            pair_key(one, wrong, "run")


def test_a_mask_is_chacha20() -> None:
    """The key's stream by an implementation of our own, after RFC 8439, section 2.3."""
    words = struct.unpack("<12I", b"expand 32-byte k" + derive((7).to_bytes(32, "big"), 32, "mask"))
    state = [*words, 0, 0, 0, 0]
    work = list(state)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            work[x] = (work[x] + work[y]) % 2**32
            mixed = work[z] ^ work[x]
            work[z] = (mixed << turn | mixed >> 32 - turn) % 2**32

    for _ in range(10):
        for first in range(4):
            quarter(first, first + 4, first + 8, first + 12)
        for first in range(4):
            quarter(first, 4 + (first + 1) % 4, 8 + (first + 2) % 4, 12 + (first + 3) % 4)
    stream = struct.pack("<16I", *((a + b) % 2**32 for a, b in zip(state, work, strict=True)))
    assert np.array_equal(mask(7, 8), np.frombuffer(stream, "<u8"))
    assert np.array_equal(mask(7, 20)[:8], mask(7, 8))
    assert not np.array_equal(mask(8, 8), mask(7, 8))


def test_what_was_sealed() -> None:
    key = derive(b"key", 32, "sealed")
    assert unseal(key, seal(key, b"shares")) == b"shares"
    sealed = seal(key, b"shares")
    for wrong in (bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1], b""):
        with pytest.raises(WireError, match="of another round or site, or changed on their way"):
            unseal(key, wrong)
    with pytest.raises(WireError, match="of another round or site"):
        unseal(derive(b"key", 32, "another"), sealed)


def test_signatures() -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(b"said").hex()
    assert is_signed(public, signature, b"said")
    assert not is_signed(public, signature, b"said otherwise")
    assert not is_signed(Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex(), signature, b"said")
    assert not is_signed(public, "00", b"said")
    assert len(fingerprint(public)) == 64
