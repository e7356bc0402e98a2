"""`site join`: checks what the coordinator sent, all of it, before anything of it is kept."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from pydantic import Field, ValidationError

from client.home.dial import split
from client.home.keys import (
    common_name,
    fingerprint,
    is_authority,
    issued_by,
    read_certificate,
    read_tls_key,
)
from client.home.layout import REQUEST, Home, read_json
from common.errors import ConfigError, Problems
from common.files import write_atomically
from common.toml import Declared, check


class Welcome(Declared):
    """What the coordinator sends to a site that it registered; holds no secret.

    Attributes
    ----------
    name : str
    address : str
        Host and port to dial.
    mutual_tls : bool
        Whether the coordinator demands `certificate`.
    ca, certificate : str
        PEM.
    """

    name: str
    address: str = Field(max_length=300)
    mutual_tls: bool = Field(strict=True)
    ca: str
    certificate: str


def join(home: Home, path: Path, told: str | None = None) -> tuple[Welcome, str]:
    """Check a welcome file and keep it in the relay's folder.

    Parameters
    ----------
    home : Home
    path : Path
        The welcome file.
    told : str, optional
        The SHA-256 of the authority's certificate, as the coordinator told it by another way.

    Returns
    -------
    tuple
        The welcome, and the SHA-256 of its authority's certificate: to be compared by telephone.

    Raises
    ------
    ConfigError
        Names everything about the file that does not fit this site.
    """
    welcome = check(read_json(path), Welcome, f"{path}: not a welcome file, NAME.welcome.json of the coordinator")
    problems = Problems(str(path))
    _check_name(home, welcome, problems)
    _check_address(welcome, problems)
    authority = _read(welcome.ca, "ca", problems)
    certificate = _read(welcome.certificate, "certificate", problems)
    if authority is not None:
        _check_authority(home, authority, problems)
        _check_told(authority, told, problems)
    if certificate is not None:
        _check_certificate(home, certificate, authority, welcome.name, problems)
    problems.raise_if_any(ConfigError)
    assert authority is not None  # otherwise there is a problem
    write_atomically(home.ca, welcome.ca)
    write_atomically(home.certificate, welcome.certificate)
    write_atomically(home.welcome, welcome.model_dump_json(indent=1) + "\n")  # last: says that all is there
    return welcome, fingerprint(authority)


def read_welcome(home: Home) -> Welcome | None:
    """Give what the coordinator sent, or None where this site has not joined."""
    if not home.welcome.is_file():
        return None
    try:
        return Welcome.model_validate(read_json(home.welcome))
    except ValidationError:
        raise ConfigError(f"{home.welcome}: damaged; join again with the file that the coordinator sent") from None


def own_name(home: Home) -> str | None:
    """Give the name under which this folder was made: that of its one request, else of its site file."""
    requests = home.requests()
    if len(requests) == 1:
        return requests[0].name.removesuffix(REQUEST)
    with suppress(OSError, ValueError):
        content: dict[str, Any] = tomllib.loads(home.site_file.read_text(encoding="utf-8"))
        return str(content["name"]) if "name" in content else None
    return None


def _check_name(home: Home, welcome: Welcome, problems: Problems) -> None:
    ours = own_name(home)
    if ours is not None and welcome.name != ours:
        problems.add(f"is for {welcome.name!r}, this site is {ours!r}; ask the coordinator for {ours}.welcome.json")


def _check_address(welcome: Welcome, problems: Problems) -> None:
    try:
        split(welcome.address)
    except ValueError as error:
        problems.add(f"address: {error}")


def _read(pem: str, what: str, problems: Problems) -> x509.Certificate | None:
    try:
        return read_certificate(pem, what)
    except ConfigError as error:
        problems.add(str(error))
        return None


def _check_authority(home: Home, authority: x509.Certificate, problems: Problems) -> None:
    if not is_authority(authority) or not issued_by(authority, authority):
        problems.add("ca: not the certificate of an authority that signed itself; ask for the file anew")
    _check_dates(authority, "ca", problems)
    if home.ca.is_file():
        known = read_certificate(home.ca.read_bytes(), str(home.ca))
        if known != authority:
            problems.add(
                f"ca: another authority than the one that this site joined, {fingerprint(known)}; if the coordinator "
                f"confirms by telephone that {fingerprint(authority)} is its own, remove {home.ca} and join again"
            )


def _check_told(authority: x509.Certificate, told: str | None, problems: Problems) -> None:
    if told is not None and _digits(told) != _digits(fingerprint(authority)):
        problems.add(
            f"ca: its SHA-256 is {fingerprint(authority)}, not the one that you were told; do not join: "
            "the file may have been changed on its way, ask for it by another way"
        )


def _digits(mark: str) -> str:
    """Give a fingerprint as one word: people write it with colons, with spaces, or with neither."""
    return mark.replace(":", "").replace(" ", "").upper()


def _check_certificate(
    home: Home, certificate: x509.Certificate, authority: x509.Certificate | None, name: str, problems: Problems
) -> None:
    ours = read_tls_key(home.tls_key.read_bytes()).public_key()
    if certificate.public_key() != ours:
        problems.add("certificate: for another key than relay/tls.key; was it made from another request of this site?")
    if authority is not None and not issued_by(certificate, authority):
        problems.add("certificate: not signed by the authority in the same file; ask the coordinator for it anew")
    if common_name(certificate.subject) != name:
        problems.add(f"certificate: of {common_name(certificate.subject)!r}; expected {name!r}")
    _check_dates(certificate, "certificate", problems)


def _check_dates(certificate: x509.Certificate, what: str, problems: Problems) -> None:
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        problems.add(f"{what}: ended on {certificate.not_valid_after_utc:%Y-%m-%d}; ask the coordinator for a new one")
    elif now < certificate.not_valid_before_utc:
        began = certificate.not_valid_before_utc
        problems.add(f"{what}: begins {began:%Y-%m-%d %H:%M} UTC; this machine's clock says {now:%Y-%m-%d %H:%M}")
