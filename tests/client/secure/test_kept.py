"""The last masked update is kept for whoever asks again, and for nobody else."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from client.secure.kept import FILE, Kept, Note
from common.errors import ConfigError

NOTE = Note("r", "round 1", "update", "masked", '{"sealed": {}}', ("auroc",))
WORDS = np.array([0, 1, 2**64 - 1], np.uint64)


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_last_and_no_other(tmp_path: Path, on_disk: bool) -> None:
    kept = Kept(tmp_path if on_disk else None)
    assert kept.of("r", "round 1") is None
    kept.keep(NOTE, WORDS)
    again = Kept(tmp_path) if on_disk else kept
    found = again.of("r", "round 1")
    assert found is not None
    assert found[0] == NOTE
    assert found[1].tolist() == WORDS.tolist()
    assert again.of("r", "round 2") is None
    assert again.of("another", "round 1") is None
    kept.keep(Note("r", "round 2", "u", "m", "", ()), WORDS)
    assert again.of("r", "round 1") is None


def test_for_its_owner_alone(tmp_path: Path) -> None:
    Kept(tmp_path).keep(NOTE, WORDS)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    Kept(tmp_path).keep(NOTE, WORDS)
    for content in (b"", b"{}", (tmp_path / FILE).read_bytes()[:-1]):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(ConfigError, match=r"masked.safetensors: cannot be read; remove it"):
            Kept(tmp_path).of("r", "round 1")
