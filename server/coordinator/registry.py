"""The register of sites: who may connect, under which name, with which key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from common.errors import ConfigError
from common.files import write_atomically
from common.toml import Declared
from server.coordinator.authority import read_authority
from server.coordinator.flower import Flower, FlowerError, NotUpError
from server.coordinator.folder import Folder
from server.coordinator.requests import JoinRequest
from server.coordinator.settings import read_settings

_REMOVED = "removed"  # folder of what `remove` took out


class Site(Declared):
    """A registered site, as its file says.

    Attributes
    ----------
    name : str
    node : str
        Flower's number for it.
    key : str
        Fingerprint of its node key.
    registered : str
        When, as ISO 8601.
    version : str
        Of Sitebridge, as its request said.
    """

    name: str
    node: str
    key: str
    registered: str
    version: str


@dataclass(frozen=True)
class Presence:
    """Whether a site is there.

    Attributes
    ----------
    connected : bool or None
        None where the coordinator is not up.
    seen : str
        When it was last there; empty where never, or where it is not known.
    """

    connected: bool | None
    seen: str = ""


def register(folder: Folder, request: JoinRequest, welcome: Path) -> Site:
    """Let a site in, and write what it needs to join.

    Parameters
    ----------
    folder : Folder
    request : JoinRequest
        Checked.
    welcome : Path
        The file to send back; no secret is in it.

    Raises
    ------
    ConfigError
        The name or the key is registered already, or the authority's key is not here.
    FlowerError, NotUpError
        The SuperLink did not take it.
    """
    _refuse_known(folder, request)
    authority = read_authority(folder.ca, folder.ca_key)
    certificate = authority.site(request.certificate, request.name)
    site = Site(
        name=request.name,
        node=_let_in(folder, request),
        key=request.fingerprint,
        registered=_now(),
        version=request.version,
    )
    write_atomically(folder.sites / f"{site.name}.json", site.model_dump_json(indent=1) + "\n")
    settings = read_settings(folder.settings)
    content = {
        "name": site.name,
        "address": settings.address,
        "mutual_tls": settings.mutual_tls,
        "ca": folder.ca.read_text(),
        "certificate": certificate.decode(),
    }
    write_atomically(welcome, json.dumps(content, indent=1) + "\n")
    return site


def remove(folder: Folder, name: str) -> None:
    """Take a site out: from now on its key is refused, and is never taken again.

    Raises
    ------
    ConfigError
        No such site.
    FlowerError, NotUpError
        The SuperLink did not do it.
    """
    sites = registered(folder)
    if name not in sites:
        raise ConfigError(f"{name}: not registered; registered are: {', '.join(sites) or 'none'}")
    Flower(folder).unregister(sites[name].node)
    kept = folder.sites / _REMOVED
    kept.mkdir(exist_ok=True)
    (folder.sites / f"{name}.json").rename(kept / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")


def registered(folder: Folder) -> dict[str, Site]:
    """Give every registered site, by name."""
    return {site.name: site for site in map(_read, sorted(folder.sites.glob("*.json")))}


def presence(folder: Folder, sites: dict[str, Site]) -> dict[str, Presence]:
    """Say of each site whether it is connected, as the SuperLink sees it."""
    if not sites:
        return {}
    try:
        nodes = Flower(folder).nodes()
    except (NotUpError, FlowerError):
        return dict.fromkeys(sites, Presence(None))
    return {name: _presence(nodes.get(site.node, {})) for name, site in sites.items()}


def _presence(node: dict[str, str]) -> Presence:
    if node.get("status") == "online":
        return Presence(True, _now())
    seen = node.get("offline-at", "N/A")
    return Presence(False, "" if seen == "N/A" else seen)


def _refuse_known(folder: Folder, request: JoinRequest) -> None:
    for site in registered(folder).values():
        if request.name == site.name or request.fingerprint == site.key:
            what = "the name" if request.name == site.name else "this node key"
            raise ConfigError(
                f"{what} is registered already, as {site.name}, since {site.registered}; to replace it, first: "
                f"sitebridge coordinator remove {site.name}"
            )
    for path in sorted((folder.sites / _REMOVED).glob("*.json")):
        if _read(path).key == request.fingerprint:
            raise ConfigError(
                f"{request.name}: this node key was removed ({path.name}) and stays out; the site needs a new one: "
                "sitebridge site init in a new folder"
            )


def _let_in(folder: Folder, request: JoinRequest) -> str:
    key = folder.state / "joining.pub"
    write_atomically(key, request.node_key + "\n")
    try:
        return Flower(folder).register(key, request.name)
    finally:
        key.unlink(missing_ok=True)


def _read(path: Path) -> Site:
    try:
        return Site.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise ConfigError(f"{path}: not a site's file as `register` writes it; restore it") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
