"""The last masked update of a site, kept until the next: who asks again gets the same bytes, after a restart, too.

Training with noise gives another update each time and costs patients each time, and two updates under the same masks
would show their difference.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from common.errors import ConfigError
from common.files import PRIVATE, write_atomically
from common.secure.crypto import Words
from common.secure.fixed import MASKED

FILE = "masked.safetensors"


@dataclass(frozen=True)
class Note:
    """What goes with a masked update.

    Attributes
    ----------
    run : str
    round : str
        Its name, see `common.secure.statements.round_of`.
    update : str
        What tells the update from any other.
    masked : str
        What tells all that is masked, a score too, from anything else.
    facts : str
        What is said with it.
    withheld : tuple of str
    """

    run: str
    round: str
    update: str
    masked: str
    facts: str
    withheld: tuple[str, ...]


class Kept:
    """Keeps one masked update.

    Parameters
    ----------
    folder : Path or None
        The agent's; None keeps it in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / FILE
        self._memory: tuple[Note, Words] | None = None

    def keep(self, note: Note, words: Words) -> None:
        """Keep an update in the place of the one before."""
        if self.path is None:
            self._memory = note, words
        else:
            content = safetensors.numpy.save({MASKED: words}, metadata={"note": json.dumps(asdict(note))})
            write_atomically(self.path, content, PRIVATE)

    def of(self, run: str, name: str) -> tuple[Note, Words] | None:
        """Give the update that was made for a round, if it is the last.

        Raises
        ------
        ConfigError
            The file is there, but holds no update.
        """
        found = self._memory if self.path is None else self._read(self.path)
        return found if found is not None and (found[0].run, found[0].round) == (run, name) else None

    @staticmethod
    def _read(path: Path) -> tuple[Note, Words] | None:
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                said = json.loads(file.metadata()["note"])
                words = np.asarray(file.get_tensor(MASKED), dtype=np.uint64)
                return Note(**said | {"withheld": tuple(said["withheld"])}), words
        except (OSError, ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError):
            raise ConfigError(
                f"{path}: cannot be read; remove it: at worst one round goes on without this site"
            ) from None
