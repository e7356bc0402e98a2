"""`coordinator.toml`: under which address sites find the coordinator, and what its proxy asks of them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import Field, field_validator

from common.toml import Declared, read_toml

_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class Settings(Declared):
    """What ``coordinator.toml`` says.

    Attributes
    ----------
    address : str
        Host and port that sites dial; the host stands in the certificate.
    also : list of str
        Further hosts in the certificate.
    listen : str
        Address and port that the proxy listens on.
    control_port : int
        Of the SuperLink, on loopback.
    mutual_tls : bool
        Whether the proxy demands a certificate of each site before it reads a byte.
    max_message_mb : int
        Longest message that the proxy lets through.
    """

    address: str
    also: list[str] = Field(default_factory=list, max_length=20)
    listen: str = "0.0.0.0:8443"
    control_port: int = Field(default=8000, ge=1024, le=65_535)
    mutual_tls: bool = False
    max_message_mb: int = Field(default=64, ge=1, le=1024)

    @field_validator("address", "listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        split(value)
        return value

    @field_validator("also")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            check_host(host)
        return hosts

    @property
    def hosts(self) -> list[str]:
        """Every host that the certificate names, the one that sites dial first."""
        return [*dict.fromkeys([split(self.address)[0], *self.also])]


def split(address: str) -> tuple[str, int]:
    """Give the host and the port of ``host:port`` or ``[IPv6]:port``.

    Raises
    ------
    ValueError
        It is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is not an address; expected HOST:PORT, or [IPv6]:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{address!r} is not an address; an IPv6 address stands in brackets: [{host}]:{port}")
    check_host(host)
    return host, int(port)


def check_host(host: str) -> None:
    """Make sure that a host is an IP address or a plain name in small letters.

    Raises
    ------
    ValueError
        It is neither.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or host.replace(".", "").isdigit():
            raise ValueError(f"{host!r} is neither an IP address nor a host's name in small letters") from None


def read_settings(path: Path) -> Settings:
    """Read ``coordinator.toml``.

    Raises
    ------
    ConfigError
        Names every key at fault.
    """
    return read_toml(path, Settings)


def settings_text(settings: Settings) -> str:
    """Give the commented file that `init` writes."""
    also = ", ".join(f'"{host}"' for host in settings.also)
    return f"""\
# The coordinator. Changes hold from the next `sitebridge coordinator up`.

# What sites dial. Its host stands in the certificate: after a change, `sitebridge coordinator renew`.
address = "{settings.address}"

# Further hosts in the certificate, for sites that reach the coordinator under another name.
also = [{also}]

# Where the proxy listens; the only port that anybody else need reach.
listen = "{settings.listen}"

# Flower's own port, on loopback alone. Never let anybody else reach it: whoever does, controls runs.
control_port = {settings.control_port}

# Whether every site must show a certificate of this coordinator's authority before a byte of it is read.
mutual_tls = {str(settings.mutual_tls).lower()}

# Longest message that may come in.
max_message_mb = {settings.max_message_mb}
"""
