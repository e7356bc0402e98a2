"""Random numbers that nobody outside of this process can draw again.

The noise, and who is drawn into a batch, protect patients only as long as they are unknown. The federation's seed is
known to the coordinator, and the generators of torch and numpy can be worked out from enough of their numbers. So these
come from AES-256 in counter mode, under a key from the operating system that is never written down.
"""

from __future__ import annotations

import math
import secrets

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray
from torch import Tensor

_KEY_BYTES, _BLOCK_BYTES = 32, 16
_GRID = 2.0**-53  # between neighbouring numbers


class Randomness:
    """A stream of random numbers.

    Parameters
    ----------
    key : bytes, optional
        32, for a test that draws the same numbers again; otherwise the operating system gives one.
    """

    def __init__(self, key: bytes | None = None) -> None:
        cipher = Cipher(AES256(secrets.token_bytes(_KEY_BYTES) if key is None else key), CTR(bytes(_BLOCK_BYTES)))
        self._stream = cipher.encryptor()

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Draw numbers in [0, 1), float64 (count,), multiples of 2**-53."""
        words = np.frombuffer(self._stream.update(bytes(8 * count)), dtype="<u8")
        return np.asarray((words >> np.uint64(11)) * _GRID, dtype=np.float64)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, float64 of a shape.

        Notes
        -----
        Box and Muller 1958, Annals of Mathematical Statistics 29:610. On this grid no number is further out than 8.6,
        beyond which a normal one lies with probability 1e-17.
        """
        count = math.prod(shape)
        half = -(-count // 2)
        drawn = torch.from_numpy(self.uniform(2 * half))
        radius = (-2 * torch.log(drawn[:half] + _GRID)).sqrt_()  # of (0, 1]
        angle = drawn[half:] * (2 * math.pi)
        return torch.cat([radius * angle.cos(), radius * angle.sin()])[:count].reshape(shape)
