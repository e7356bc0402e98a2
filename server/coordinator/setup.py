"""`init` makes a coordinator's folder; `renew` gives it a new server certificate."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

from common.errors import ConfigError
from common.files import PRIVATE, write_atomically
from server.coordinator.authority import Authority, Pair, expiry, new_authority, read_authority
from server.coordinator.bundle import write_bundle
from server.coordinator.folder import Folder
from server.coordinator.settings import Settings, read_settings, settings_text


def initialise(path: Path, settings: Settings) -> Folder:
    """Make a coordinator's folder, with an authority of its own.

    Raises
    ------
    ConfigError
        The folder holds something already.
    """
    folder = Folder(path.absolute())
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise ConfigError(f"{path}: already there and not empty; name another folder")
    folder.path.mkdir(mode=0o750, parents=True, exist_ok=True)
    _keep(new_authority(settings.hosts[0]), folder.ca, folder.ca_key)
    _certify(folder, read_authority(folder.ca, folder.ca_key), settings)
    write_atomically(folder.secret, secrets.token_bytes(32), PRIVATE)
    write_bundle(folder.app)
    for place in (folder.proxy, folder.sites, folder.flower, folder.runs):
        place.mkdir(parents=True, exist_ok=True)
    write_atomically(folder.settings, settings_text(settings))  # last: its presence says that all is there
    return folder


def renew(folder: Folder) -> datetime:
    """Make new server certificates; sites notice nothing, since the authority stays. Gives the day of expiry.

    Raises
    ------
    ConfigError
        The authority's key is not here.
    """
    _certify(folder, read_authority(folder.ca, folder.ca_key), read_settings(folder.settings))
    return expiry(folder.certificate)


def _certify(folder: Folder, authority: Authority, settings: Settings) -> None:
    _keep(authority.server(settings.hosts), folder.certificate, folder.key)
    _keep(authority.loopback(), folder.inner_certificate, folder.inner_key)


def _keep(pair: Pair, certificate: Path, key: Path) -> None:
    write_atomically(key, pair.key, PRIVATE)
    write_atomically(certificate, pair.certificate)
