"""The site's memory of cohorts of which something has left: one that differs from such a one by few is not told of.

Whoever holds the same figure, or the same training, over two cohorts that differ by one patient holds that patient's.
"""

from __future__ import annotations

import io
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from client.cohorts.cohort import read_cohort
from client.cohorts.sketch import BUCKETS, Sketch, apart, sketches
from client.refusals import TooAlikeError
from client.site_file import Site
from common.errors import ConfigError
from common.files import PRIVATE, write_atomically

FOLDER, KEY = "told", "key"
_KEY_BYTES = 32
_Stamp = tuple[tuple[str, int, int, int], ...]


class Told:
    """The folder ``agent/told``: a key, and a file for each different cohort, named after the day.

    Parameters
    ----------
    folder : Path
        The agent's.

    Raises
    ------
    ConfigError
        The key is there, but is none: earlier cohorts could not be told from new ones.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._checked: tuple[str, _Stamp, int] | None = None
        self._key = self._open()

    def check(self, site: Site, digest: str) -> None:
        """Make sure that a site's cohort is none that is nearly another, and remember it, on disk.

        Parameters
        ----------
        digest : str
            Of the site file: with it and the cohort's files unchanged, nothing is read again.

        Raises
        ------
        TooAlikeError
            In some part fewer patients than min-cell differ from those of an earlier cohort, but not none.
        CohortError
            The cohort cannot be read.
        """
        state = (digest, _stamp(site), site.policy.min_cell)
        if state == self._checked:
            return
        own = sketches(read_cohort(site, "keep"), self._key)
        known = {path: _read(path) for path in sorted(self.folder.glob("*.npz"))}
        for path, other in known.items():
            self._compare(own, other, site, path)
        if not any(all(np.array_equal(own[part], other[part]) for part in own) for other in known.values()):
            self._keep(own)
        self._checked = state

    def _compare(self, own: dict[str, Sketch], other: dict[str, Sketch], site: Site, path: Path) -> None:
        named = site.file.cohort.patient is not None
        for part, sketch in own.items():
            if 0 < apart(sketch, other[part], named) < site.policy.min_cell:
                raise TooAlikeError(
                    f"{site.path}: the {part} part differs from that of {path.stem[:10]}, of which something has left, "
                    f"by fewer than policy.min_cell = {site.policy.min_cell} patients, but not by none; serve that "
                    "cohort's file again, or wait until more have changed"
                )

    def _keep(self, own: dict[str, Sketch]) -> None:
        stream = io.BytesIO()
        np.savez(stream, train=own["train"], validation=own["validation"], test=own["test"])
        name = sha256(b"".join(sketch.tobytes() for sketch in own.values())).hexdigest()[:16]
        write_atomically(self.folder / f"{datetime.now(UTC):%Y-%m-%d}-{name}.npz", stream.getvalue(), PRIVATE)

    def _open(self) -> bytes:
        """Give the key; make it where the site has none yet."""
        path = self.folder / KEY
        if not path.exists():
            if self.folder.exists() and any(self.folder.glob("*.npz")):
                raise ConfigError(f"{path}: missing; put it back, or remove the folder to forget all earlier cohorts")
            write_atomically(path, secrets.token_bytes(_KEY_BYTES), PRIVATE)
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ConfigError(f"{path}: damaged; put it back, or remove the folder to forget all earlier cohorts")
        return key


def _read(path: Path) -> dict[str, Sketch]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as content:
            read = {part: content[part] for part in ("train", "validation", "test")}
        if any(sketch.dtype != np.uint64 or sketch.shape != (BUCKETS,) for sketch in read.values()):
            raise ValueError
        return read
    except Exception:  # an archive of compressed arrays can be broken in many ways
        raise ConfigError(f"{path}: damaged; put it back, or remove it to forget that cohort") from None


def _stamp(site: Site) -> _Stamp:
    """Give what changes whenever one of the cohort's files is written."""
    facts = [(path, path.stat()) for path in site.files if path.exists()]  # one that is not is told of when it is read
    return tuple((str(path), about.st_ino, about.st_size, about.st_mtime_ns) for path, about in facts)
