"""The coordinator's own certificate authority.

Three kinds of certificates, none of which depends on a version of anything: the authority's (20 years), servers' (5
years, `renew`) and, for mutual TLS, sites' (5 years). Sites trust this authority for the coordinator, and no other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import ConfigError

_AUTHORITY = timedelta(days=20 * 365)
_LEAF = timedelta(days=5 * 365)
_EARLIER = timedelta(days=1)  # valid since: a site's clock may be behind
_NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def server(self, hosts: Sequence[str], lasting: timedelta = _LEAF) -> Pair:
        """Make a key and a certificate for a server that answers as `hosts`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = self._leaf(hosts[0], key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, lasting)
        return _pair(builder.add_extension(names, critical=False).sign(self.key, hashes.SHA384()), key)

    def loopback(self) -> Pair:
        """Make a key and a certificate for a server on this machine's loopback, as long as the authority's."""
        return self.server(["127.0.0.1", "localhost"], self.certificate.not_valid_after_utc - _now())

    def site(self, request: x509.CertificateSigningRequest, name: str) -> bytes:
        """Sign a site's checked request; gives its certificate as PEM."""
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        builder = self._leaf(name, key, ExtendedKeyUsageOID.CLIENT_AUTH, _LEAF)
        return builder.sign(self.key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)

    def _leaf(
        self, name: str, key: ec.EllipticCurvePublicKey, purpose: x509.ObjectIdentifier, lasting: timedelta
    ) -> x509.CertificateBuilder:
        ends = min(_now() + lasting, self.certificate.not_valid_after_utc)
        signer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _builder(name, self.certificate.subject, key, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
        )


def new_authority(host: str) -> Pair:
    """Make an authority of its own for the coordinator at `host`."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = f"Sitebridge {host}"[:64]
    builder = _builder(name, _subject(name), key.public_key(), _now() + _AUTHORITY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return _pair(builder.sign(key, hashes.SHA384()), key)


def read_authority(certificate: Path, key: Path) -> Authority:
    """Read an authority that can sign.

    Raises
    ------
    ConfigError
        A file is missing or damaged, or the two do not belong together.
    """
    if not key.is_file():
        raise ConfigError(f"{key}: the authority's key is not here; bring it back for this command, then take it away")
    try:
        signer = serialization.load_pem_private_key(key.read_bytes(), None)
        authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{certificate.parent}: the authority's files cannot be read; restore them") from None
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != authority.public_key():
        raise ConfigError(f"{key}: not the key of {certificate}; bring the one that `init` made")
    return Authority(authority, signer)


def fingerprint(pem: bytes) -> str:
    """Give a certificate's SHA-256, in pairs, to be compared by telephone."""
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex(":").upper()


def expiry(path: Path) -> datetime:
    """Say until when a certificate is valid.

    Raises
    ------
    ConfigError
        The file is missing or is no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        raise ConfigError(f"{path}: not a certificate; make a new one: sitebridge coordinator renew") from None


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _EARLIER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**(_NO_USAGE | dict.fromkeys(names, True)))


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), private)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
