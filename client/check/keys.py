"""What the check says of keys and certificates: there, private, fitting each other, and until when."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from client.check.findings import Said
from client.home.join import Welcome
from client.home.keys import (
    fingerprint,
    issued_by,
    public_line,
    read_certificate,
    read_node_key,
    read_tls_key,
)
from client.home.layout import Home, read_json
from common.errors import ConfigError

_SOON = timedelta(days=60)
_MADE = "keys are made by `sitebridge site init`, in a new folder; the coordinator then registers the site anew"


def look(home: Home, welcome: Welcome | None) -> Iterator[Said]:
    """Look at the relay's keys and, once the site has joined, at the certificates."""
    private = [home.node_key, home.tls_key, home.secret]
    for path in private:
        yield from _private(path)
    if home.node_key.is_file():
        yield from _node(home)
    if welcome is None:
        yield "warn", "not joined yet: send the request file; then sitebridge site join WELCOME.json"
        return
    authority = read_certificate(home.ca.read_bytes(), str(home.ca))
    certificate = read_certificate(home.certificate.read_bytes(), str(home.certificate))
    yield "ok", f"the coordinator's authority is {fingerprint(authority)}"
    yield _until("the coordinator's authority", authority)
    if home.tls_key.is_file():
        yield from _fit(home, certificate, authority)
    yield _until("this site's certificate", certificate)


def _private(path: Path) -> Iterator[Said]:
    name = f"relay/{path.name}"
    if not path.is_file():
        yield "fail", f"{name} is missing; {_MADE}"
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield "fail", f"{name} may be read by others (mode {mode:o}); run: chmod 600 {path}"
    else:
        yield "ok", f"{name} is there, for its owner alone"


def _node(home: Home) -> Iterator[Said]:
    public = public_line(read_node_key(home.node_key.read_bytes()))
    others = {"relay/node.pub": _public(home.node_public)}
    for path in home.requests():
        others[path.name] = str(read_json(path).get("node_key", ""))
    for name, other in others.items():
        if other != public:
            yield "fail", f"relay/node.key is not the key of {name}; was one of them replaced? {_MADE}"
            return
    yield "ok", f"relay/node.key is the key of {' and '.join(others)}"


def _public(path: Path) -> str:
    """Give a public line without its comment."""
    try:
        return " ".join(path.read_text(encoding="utf-8").split()[:2])
    except (OSError, UnicodeDecodeError):
        return ""


def _fit(home: Home, certificate: x509.Certificate, authority: x509.Certificate) -> Iterator[Said]:
    try:
        key = read_tls_key(home.tls_key.read_bytes())
    except ConfigError as error:
        yield "fail", f"relay/tls.key: {error}"
        return
    if certificate.public_key() != key.public_key():
        yield "fail", "relay/client.pem is for another key than relay/tls.key; join again with this site's own welcome"
    elif not issued_by(certificate, authority):
        yield "fail", "relay/client.pem was not signed by relay/ca.pem; join again with this site's own welcome"
    else:
        yield "ok", "relay/client.pem fits relay/tls.key and relay/ca.pem"


def _until(what: str, certificate: x509.Certificate) -> Said:
    ends, now = certificate.not_valid_after_utc, datetime.now(UTC)
    details = {"ends": ends.isoformat()}
    if ends < now:
        return "fail", f"{what} ended on {ends:%Y-%m-%d}; ask the coordinator for a new welcome file, and join", details
    if certificate.not_valid_before_utc > now:
        begins = certificate.not_valid_before_utc
        return "fail", f"{what} begins only on {begins:%Y-%m-%d %H:%M} UTC; is this machine's clock right?", details
    if ends < now + _SOON:
        return "warn", f"{what} ends on {ends:%Y-%m-%d}; ask the coordinator for a new welcome file now", details
    return "ok", f"{what} is valid until {ends:%Y-%m-%d}", details
