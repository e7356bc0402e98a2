from __future__ import annotations

import hashlib

import numpy as np
import pytest

from common.likeness import NUMBERS, projection


def test_the_directions_are_the_same_on_every_machine() -> None:
    """Sites that project otherwise would tell means that cannot be compared: these bytes must not change."""
    signs = (projection(3) > 0).astype(np.uint8).tobytes()
    assert hashlib.sha256(signs).hexdigest() == "fabd1c988232559335f779b331370ad559c9bdbbec3d87c95fc719730e98087c"
    assert set(np.abs(projection(384)).ravel()) == {1 / np.sqrt(NUMBERS)}


def test_distances_are_kept_about() -> None:
    rng = np.random.default_rng(0)
    for columns in (191, 384, 3072):
        differences = rng.normal(size=(400, columns))
        kept = ((differences @ projection(columns)) ** 2).sum(axis=1) / (differences**2).sum(axis=1)
        assert kept.mean() == pytest.approx(1, abs=0.06)
        assert kept.std() == pytest.approx(np.sqrt(2 / NUMBERS), abs=0.05)
