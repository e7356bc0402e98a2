"""Which address a service may have: https, or this machine. What reads it here is what sends to it later."""

from __future__ import annotations

import ipaddress

import httpx

from common.errors import TableError


def check_url(url: str) -> str:
    """Give an address without a slash at its end.

    Raises
    ------
    TableError
        It is not https, and does not lie on this machine; or it holds a password or anything behind the path.
    """
    expected = "expected an address such as https://host/v1"
    if not _known(url):
        raise TableError(f"--service: {expected}")
    if httpx.URL(url).userinfo or "?" in url or "#" in url:  # not repeated here: it may be a secret
        raise TableError(
            f"--service: {expected}, without a user, a password or anything behind the path; the key comes from the "
            "environment"
        )
    if httpx.URL(url).scheme == "http" and not is_loopback(url):
        raise TableError(f"{url}: not encrypted; expected https, unless the service runs on this machine")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Say whether an address lies on this machine."""
    if not _known(url):
        return False
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _known(url: str) -> bool:
    """Say whether it is an address of the web, with a host."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:  # a control character, or a port that is not a number
        return False
    ports = range(1, 65536)
    return parts.scheme in ("http", "https") and bool(parts.host) and " " not in url and (parts.port or 443) in ports
