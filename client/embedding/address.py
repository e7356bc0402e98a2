"""Which address a service may have: https, or this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

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
    parts = urlsplit(url)
    if "@" in parts.netloc or "?" in url or "#" in url:  # not repeated here: it may be a secret
        raise TableError(
            f"--service: {expected}, without a user, a password or anything behind the path; the key comes from the "
            "environment"
        )
    if parts.scheme == "http" and not is_loopback(url):
        raise TableError(f"{url}: not encrypted; expected https, unless the service runs on this machine")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Say whether an address lies on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _known(url: str) -> bool:
    """Say whether it is an address of the web, and one that two readers cannot take for two hosts."""
    import httpx  # here, because every command loads this file's callers

    try:
        parts = urlsplit(url)
        same = httpx.URL(url).host == (parts.hostname or "").partition("%")[0] or not (parts.hostname or "").isascii()
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and same
    except (ValueError, httpx.InvalidURL):  # brackets, a space, or a port that is not a number
        return False
