"""Reaches the coordinator's port, through the hospital's proxy where the environment names one."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

_HEAD = 16_384  # bytes of a proxy's answer
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")  # never an option: no - first
_PORT = re.compile(r"[0-9]{1,5}")


class ProxyRefusedError(OSError):
    """The proxy did not open a way; the message is its own first line."""


@dataclass(frozen=True)
class Proxy:
    """The proxy that the environment names.

    Attributes
    ----------
    host, port
    authorization : str
        The header's value; "" where the variable holds no name and password.
    variable : str
        Which variable said so, without a password.
    """

    host: str
    port: int
    authorization: str
    variable: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def split(address: str) -> tuple[str, int]:
    """Give the host and the port of ``host:port`` or ``[IPv6]:port``.

    Raises
    ------
    ValueError
        It is neither.
    """
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is not an address; expected HOST:PORT, or [IPv6]:PORT")
    return host, int(port)


def proxy_of(host: str) -> Proxy | None:
    """Give the proxy for HTTPS to `host`, by the rules that Flower's client follows too.

    Raises
    ------
    ValueError
        The variable holds no proxy's address.
    """
    found = getproxies()
    scheme = next((scheme for scheme in ("https", "all") if found.get(scheme)), None)
    if scheme is None or proxy_bypass(host):
        return None
    variable = f"{scheme.upper()}_PROXY"
    url = found[scheme]
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{variable} is no HTTP proxy's address; expected the like of http://proxy.example:3128")
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    authorization = "" if parts.username is None else "Basic " + base64.b64encode(credentials.encode()).decode()
    return Proxy(parts.hostname, parts.port or 80, authorization, variable)


def dial(address: str, timeout: float) -> socket.socket:
    """Open a way to ``host:port``.

    Raises
    ------
    OSError
        There is none; `ProxyRefusedError` where a proxy said so.
    """
    host, port = split(address)
    proxy = proxy_of(host)
    if proxy is None:
        return socket.create_connection((host, port), timeout=timeout)
    connection = socket.create_connection((proxy.host, proxy.port), timeout=timeout)
    try:
        tunnel(connection, host, port, proxy)
    except BaseException:
        connection.close()
        raise
    return connection


def tunnel(connection: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """Ask a proxy, over an open connection to it, for a way to ``host:port``.

    Raises
    ------
    ProxyRefusedError
        It says no, or does not speak HTTP.
    """
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)  # one at a time: what follows the head belongs to TLS
        if not byte or len(head) > _HEAD:
            break
        head += byte
    first = bytes(head).split(b"\r\n")[0].decode("ascii", "replace").strip()
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].startswith("2"):
        raise ProxyRefusedError(first or "no answer")


def context(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Trust the coordinator's authority and nothing else; show a certificate where one is given."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and compares the name
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_verify_locations(cafile=str(ca))
    if certificate is not None:
        made.load_cert_chain(str(certificate), str(key))
    return made
