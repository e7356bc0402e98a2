"""Shamir's sharing of a secret (Shamir 1979, doi 10.1145/359168.359176) over the integers modulo a prime.

The secret is the value at 0 of a polynomial of degree t - 1, a share its value at 1, 2, ... Any t shares give the
polynomial; t - 1 of them fit every secret equally well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PRIME = 2**255 - 19
SIZE = 32  # bytes of a secret or a share


def split(secret: int, coefficients: Sequence[int], count: int) -> list[int]:
    """Give the shares 1 to `count` of a secret.

    Parameters
    ----------
    secret : int
        In [0, `PRIME`).
    coefficients : sequence of int
        t - 1 numbers in [0, `PRIME`), drawn for this secret and no other.
    count : int
        Shares; at least t.

    Raises
    ------
    ValueError
        A number is out of its range, or there would be fewer shares than are needed.
    """
    if not all(0 <= number < PRIME for number in (secret, *coefficients)):
        raise ValueError("a number outside of the field")
    if count < len(coefficients) + 1:
        raise ValueError(f"{count} shares of a secret that needs {len(coefficients) + 1}")
    shares = []
    for x in range(1, count + 1):
        value = 0
        for coefficient in (*reversed(coefficients), secret):
            value = (value * x + coefficient) % PRIME
        shares.append(value)
    return shares


def join(shares: Mapping[int, int]) -> int:
    """Give the secret behind t shares by their numbers, by Lagrange's interpolation at 0."""
    secret = 0
    for x, share in shares.items():
        above, below = 1, 1
        for other in shares:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        secret = (secret + share * above * pow(below, -1, PRIME)) % PRIME
    return secret


def to_text(number: int) -> str:
    """Write a number of the field as hexadecimal digits, always as many."""
    return number.to_bytes(SIZE, "big").hex()


def from_text(text: object) -> int:
    """Read what `to_text` wrote.

    Raises
    ------
    ValueError
        It is something else.
    """
    if not isinstance(text, str) or len(text) != 2 * SIZE:
        raise ValueError("not a number of the field")
    number = int.from_bytes(bytes.fromhex(text), "big")
    if number >= PRIME:
        raise ValueError("not a number of the field")
    return number
