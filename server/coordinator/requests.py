"""The file that a hospital sends to join: its node key and a request for a certificate. No secret is in it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import Field

from common.config import SiteName
from common.errors import ConfigError, Problems
from common.strategies import POOLED
from common.toml import Declared, check

_LONGEST = 64_000  # bytes of a request file


class RequestFile(Declared):
    """What ``NAME.request.json`` says."""

    name: SiteName
    version: str = Field(max_length=40)
    node_key: str = Field(max_length=2_000)
    certificate_request: str = Field(max_length=20_000)


@dataclass(frozen=True)
class JoinRequest:
    """A checked request.

    Attributes
    ----------
    name : str
    version : str
        Of Sitebridge at the site.
    node_key : str
        The public key as OpenSSH writes it, without comment.
    certificate : x509.CertificateSigningRequest
    """

    name: str
    version: str
    node_key: str
    certificate: x509.CertificateSigningRequest

    @property
    def fingerprint(self) -> str:
        """The node key's SHA-256 as ``ssh-keygen -l`` shows it."""
        blob = base64.b64decode(self.node_key.split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_request(path: Path, name: str) -> JoinRequest:
    """Read and check a site's request file.

    Parameters
    ----------
    path : Path
        The file, which came from outside.
    name : str
        The name under which the coordinator means to register the site.

    Raises
    ------
    ConfigError
        Names everything that is wrong.
    """
    file = check(_parse(path), RequestFile, str(path))
    problems = Problems(str(path))
    if file.name != name:
        problems.add(f"the site calls itself {file.name!r}, not {name!r}; register it under its own name")
    if file.name == POOLED:
        problems.add(f"{POOLED!r} is what all sites together are called; the site needs another name")
    node_key = _node_key(file.node_key, problems)
    certificate = _certificate_request(file.certificate_request, file.name, problems)
    problems.raise_if_any(ConfigError)
    assert certificate is not None
    return JoinRequest(file.name, file.version, node_key, certificate)


def _parse(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    if len(content) > _LONGEST:
        raise ConfigError(f"{path}: longer than any request file; expected the one that `sitebridge site init` wrote")
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ConfigError(f"{path}: not a request file; expected the one that `sitebridge site init` wrote")
    return parsed


def _node_key(text: str, problems: Problems) -> str:
    try:
        key = serialization.load_ssh_public_key(text.encode())
    except Exception:  # of a kind that is not known, or damaged
        problems.add("node_key: not a public key of OpenSSH; expected ecdsa-sha2-nistp384")
        return ""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        problems.add("node_key: expected a key on curve P-384 (ecdsa-sha2-nistp384)")
        return ""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _certificate_request(text: str, name: str, problems: Problems) -> x509.CertificateSigningRequest | None:
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key, signed = request.public_key(), request.is_signature_valid
        names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except Exception:  # its parts are read when they are asked for, and can be broken in many ways
        problems.add("certificate_request: not a request for a certificate; expected PEM")
        return None
    if not signed:
        problems.add("certificate_request: its signature is not by its own key; it was damaged or changed on its way")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1"):
        problems.add("certificate_request: expected a key on curve P-256 or P-384")
    if names != [name]:
        problems.add(f"certificate_request: it is for {', '.join(map(repr, names)) or 'nobody'}, not for {name!r}")
    return request
