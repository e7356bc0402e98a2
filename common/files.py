"""Writes files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600  # of a key or a secret, which has these permissions from the moment it exists


def agent_folder(run: Path, site: str) -> Path:
    """Give where a simulated site keeps what a resumed run needs; it goes with the journal."""
    return run / "journal" / "sites" / site


def write_atomically(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Write beside the file, then rename over it, so that nobody ever sees half of it."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)  # not by its name, which somebody else may own by now
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
