"""`site init`: a folder, keys that never leave it, one request file to send, one commented site file."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

from client.home.keys import new_node_key, new_tls_key, signing_request
from client.home.layout import Home
from client.home.template import site_text
from common import __version__
from common.errors import ConfigError
from common.files import PRIVATE, write_atomically
from common.strategies import POOLED

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def initialise(folder: Path, name: str, data: Path | None = None) -> Home:
    """Make a site's folder with keys of its own.

    Parameters
    ----------
    data : Path, optional
        A table of encounters; the names of its columns go into the site file as comments to choose from.

    Raises
    ------
    ConfigError
        The folder holds something already, the name is none, or the table has no header that can be read.
    """
    if not _NAME.fullmatch(name) or name == POOLED:  # the word for all sites together
        raise ConfigError(f"--name: {name!r} is not a site's name; expected a-z, 0-9 and -, at most 64, not first a -")
    home = Home(folder.absolute())
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise ConfigError(f"{folder}: already there and not empty; nothing is ever overwritten: name another folder")
    text = site_text(name, data)  # before anything is made: the table may be at fault
    _make(home)
    private, public = new_node_key()
    tls = new_tls_key()
    for path, key in ((home.node_key, private), (home.tls_key, tls), (home.secret, secrets.token_bytes(32))):
        write_atomically(path, key, PRIVATE)
    write_atomically(home.node_public, f"{public} {name}\n")
    write_atomically(home.site_file, text)
    request = {
        "name": name,
        "version": __version__,
        "node_key": public,
        "certificate_request": signing_request(tls, name),
    }
    write_atomically(home.request(name), json.dumps(request, indent=1) + "\n")
    return home


def next_steps(home: Home, name: str) -> list[str]:
    """Say in three lines what to do next."""
    return [
        f"1. Send {home.request(name)} to the coordinator; it holds no secret. Keys stay in {home.relay}.",
        f"2. Fill in {home.site_file}, then look at it: sitebridge site check --folder {home.path}",
        f"3. When {name}.welcome.json comes back: sitebridge site join {name}.welcome.json --folder {home.path}",
    ]


def _make(home: Home) -> None:
    home.path.mkdir(parents=True, exist_ok=True)
    for place in (home.relay, home.agent, home.run):
        place.mkdir(mode=0o700)
