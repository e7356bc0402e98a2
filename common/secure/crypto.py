"""Every use of a cipher, a key or a signature by secure aggregation, over the `cryptography` library.

Keys are bound to what they are for: HKDF-SHA256 (RFC 5869) takes the purpose as JSON, so that no two uses, rounds, runs
or pairs of sites share one. Masks come from ChaCha20 (RFC 8439), key agreement is X25519 (RFC 7748), signatures are
Ed25519 (RFC 8032), shares travel under ChaCha20-Poly1305.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from common.errors import WireError
from common.secure.shares import PRIME, SIZE

Words = NDArray[np.uint64]

_PROTOCOL = "sitebridge secure aggregation 1"
_NONCE, _BLOCK = bytes(12), bytes(16)  # zero: each key encrypts one thing


def said(*purpose: object) -> bytes:
    """Write a purpose as bytes, no two alike."""
    return json.dumps([_PROTOCOL, *purpose], separators=(",", ":")).encode()


def derive(key: bytes, size: int, *purpose: object) -> bytes:
    """Derive so many bytes for one purpose from a key."""
    return HKDF(SHA256(), size, salt=None, info=said(*purpose)).derive(key)


def number(key: bytes, *purpose: object) -> int:
    """Derive a number of the field of `common.secure.shares`, evenly to 2 ** -257."""
    return int.from_bytes(derive(key, 64, *purpose), "big") % PRIME


def pair_key(own: X25519PrivateKey, other: str, *purpose: object) -> bytes:
    """Agree on the key of a pair of sites.

    Parameters
    ----------
    other : str
        The other's public key, hexadecimal.

    Raises
    ------
    WireError
        That is no public key.
    """
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(other)))
    except ValueError:  # also of a point that would make every shared key the same
        raise WireError("a public key that is none") from None
    return derive(shared, 32, "pair", *purpose)


def mask(seed: int, size: int) -> Words:
    """Expand a secret number into `size` words that look drawn at random, uint64."""
    key = derive(seed.to_bytes(SIZE, "big"), 32, "mask")
    stream = Cipher(ChaCha20(key, _BLOCK), mode=None).encryptor().update(bytes(8 * size))
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64, copy=False)


def seal(key: bytes, plain: bytes) -> bytes:
    """Encrypt what a key was derived for; a key encrypts nothing else, ever."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, plain, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Decrypt what `seal` gave.

    Raises
    ------
    WireError
        It was changed, or is of another round, sender or receiver.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise WireError("sealed shares of another round or site, or changed on their way") from None


def is_signed(public: str, signature: str, statement: bytes) -> bool:
    """Say whether a statement bears a signature by the holder of an Ed25519 key; both hexadecimal."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public: str) -> str:
    """Give the SHA-256 of a public key, which people compare."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()
