"""What a site keeps for secure aggregation: its identity, a secret for each run, and what it has done with them.

On disk it outlives the agent's process: an agent that starts again answers the same question as it did before, and
refuses what it would have refused.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from client.refusals import UnsafeError
from client.secure.kept import Kept
from common.errors import ConfigError
from common.files import PRIVATE, write_atomically
from common.secure.crypto import derive, fingerprint

IDENTITY, WRITTEN = "identity.key", "secure.json"
_RUNS = 20  # whose secrets are kept
_SUMS = 5000  # updates of which it is known in which sum they are


class _Round(BaseModel):
    """A round in which this site sent a masked update; the sites of the sum that it helps to open, once it does."""

    update: str  # the mark of the update
    masked: str  # the mark of all that was masked, a score too
    left: list[str] | None = None


class _Run(BaseModel):
    secret: str
    rounds: dict[str, _Round] = {}


class _Written(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    runs: dict[str, _Run] = {}
    sums: dict[str, list[str]] = {}  # by the mark of an update


class Vault:
    """Keeps a site's keys, and refuses to use them twice in a way that would uncover an update.

    Parameters
    ----------
    folder : Path or None
        The agent's; None keeps everything in memory, for a process that is the whole site.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.kept = Kept(folder)
        self._memory = _Written()

    @cached_property
    def identity(self) -> Ed25519PrivateKey:
        """The key by which other sites know this one; made when it is first needed.

        Raises
        ------
        ConfigError
            The file is there, but holds no key.
        """
        if self.folder is None:
            return Ed25519PrivateKey.generate()
        path = self.folder / IDENTITY
        if not path.exists():
            write_atomically(path, os.urandom(32).hex(), PRIVATE)
        try:
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            raise ConfigError(
                f"{path}: not a key, or not readable; put back the file, or remove it to get a new identity, which "
                "other sites then have to be told of"
            ) from None

    @property
    def public(self) -> str:
        """The public half of `identity`, hexadecimal."""
        return self.identity.public_key().public_bytes_raw().hex()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of `public`, by which other sites pin this one."""
        return fingerprint(self.public)

    def begin(self, run: str) -> None:
        """Draw a secret for a run, unless there is one."""
        written = self._read()
        if run not in written.runs:
            written.runs[run] = _Run(secret=os.urandom(32).hex())
            written.runs = dict(list(written.runs.items())[-_RUNS:])
            self._write(written)

    def secret(self, run: str) -> bytes:
        """Give this site's secret of a run.

        Raises
        ------
        UnsafeError
            There is none: the site was not greeted, or has lost it.
        """
        written = self._read()
        if run not in written.runs:
            raise UnsafeError(f"run {run!r}: this site has no secret of it; start the run anew")
        return bytes.fromhex(written.runs[run].secret)

    def key(self, run: str) -> X25519PrivateKey:
        """Give this site's key of a run, see `secret`."""
        return X25519PrivateKey.from_private_bytes(derive(self.secret(run), 32, "agreement"))

    def note_masked(self, run: str, name: str, update: str, masked: str) -> None:
        """Note that an update is about to leave under the masks of a round.

        Parameters
        ----------
        name : str
            Of the round, see `common.secure.statements.round_of`.
        update, masked : str
            What tells the update, and all that is masked, from any other.

        Raises
        ------
        UnsafeError
            Something else left under these masks: the difference of the two would be in the clear.
        """
        written = self._read()
        known = written.runs[run].rounds.get(name)
        if known is not None and known.masked != masked:
            raise UnsafeError("another update has left under the masks of this round")
        if known is None:
            written.runs[run].rounds[name] = _Round(update=update, masked=masked)
            self._write(written)

    def note_left(self, run: str, name: str, left: tuple[str, ...]) -> None:
        """Note that this site is about to help to open the sum over the sites that are left.

        Raises
        ------
        UnsafeError
            It sent nothing in this round; or it has helped, or promised to help, to open the round, or the very same
            update, for other sites: both sums together would uncover more than either.
        """
        written = self._read()
        known = written.runs[run].rounds.get(name) if run in written.runs else None
        if known is None:
            raise UnsafeError("this site has masked nothing in this round")
        before = known.left or written.sums.get(known.update)
        if before is not None and before != list(left):
            raise UnsafeError(f"this update is part of a sum over {', '.join(before)}; asked for {', '.join(left)}")
        if known.left is None:
            known.left = list(left)
            written.sums[known.update] = list(left)
            written.sums = dict(list(written.sums.items())[-_SUMS:])
            self._write(written)

    def _read(self) -> _Written:
        """Read the file; in Flower's simulation another process may have written it."""
        if self.folder is None:
            return self._memory
        path = self.folder / WRITTEN
        try:
            return _Written.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return _Written()
        except (OSError, ValidationError):
            raise ConfigError(
                f"{path}: cannot be read; put back the file, or remove it: secure runs under way must then begin anew"
            ) from None

    def _write(self, written: _Written) -> None:
        if self.folder is None:
            self._memory = written
        else:
            write_atomically(self.folder / WRITTEN, written.model_dump_json() + "\n", PRIVATE)
