"""One seed a use: every random draw of a run follows from the federation's seed and what it is for."""

from __future__ import annotations

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Derive the seed for one purpose.

    Parameters
    ----------
    seed : int
        The federation's seed.
    *purpose : str or int
        What the draw is for, for example ``"train", site, round``.

    Returns
    -------
    int
        In [0, 2**63), a seed for `torch.Generator` or `numpy.random.default_rng`.

    Notes
    -----
    SHA-256 keeps streams of neighbouring seeds and rounds apart, and does not depend on the machine.
    """
    text = "|".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
