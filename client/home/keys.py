"""The keys of a site, made here and kept here, and the certificates that answer to them.

The node key is ECDSA over P-384 in OpenSSH's format, as `ssh-keygen -t ecdsa -b 384` writes it: Flower reads no other.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.errors import ConfigError

PrivateKey = ec.EllipticCurvePrivateKey


def new_node_key() -> tuple[bytes, str]:
    """Make a node key; gives the private file's content and the public line."""
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return private, public_line(key)


def new_tls_key() -> bytes:
    """Make the key of a client certificate."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key: bytes, name: str) -> str:
    """Ask for a certificate of `name` for a key; the private part does not go with it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(read_tls_key(key), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def read_node_key(content: bytes) -> PrivateKey:
    """Read a node key.

    Raises
    ------
    ConfigError
        It is no unencrypted ECDSA key over P-384 in OpenSSH's format.
    """
    try:
        key = serialization.load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError("not a node key; expected ECDSA over P-384 in OpenSSH's format, without a passphrase")
    return key


def read_tls_key(content: bytes) -> PrivateKey:
    """Read the key of a client certificate.

    Raises
    ------
    ConfigError
        It is no unencrypted key on an elliptic curve.
    """
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PrivateKey):
        raise ConfigError("not a key of a certificate; expected an unencrypted PEM key on an elliptic curve")
    return key


def public_line(key: PrivateKey) -> str:
    """Give the public part of a node key as OpenSSH writes it, without a comment."""
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def read_certificate(pem: str | bytes, what: str) -> x509.Certificate:
    """Read a certificate; `what` names it in the error.

    Raises
    ------
    ConfigError
        It is not exactly one certificate in PEM.
    """
    try:
        found = x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem)
        for one in found:
            _ = one.subject, one.extensions, one.public_key(), one.not_valid_after_utc, one.not_valid_before_utc
    except Exception:  # its parts are read when they are asked for, and can be broken in many ways
        found = []
    if len(found) != 1:
        raise ConfigError(f"{what}: expected one certificate in PEM. Got {len(found) or 'none'} instead")
    return found[0]


def common_name(name: x509.Name) -> str:
    """Give the name that stands in a certificate, for people."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string() or "(no name)"


def fingerprint(certificate: x509.Certificate) -> str:
    """Give a certificate's SHA-256 in pairs, to be compared by telephone."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, Exception):  # InvalidSignature has no common base with the other two
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may sign others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
