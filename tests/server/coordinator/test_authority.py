"""Certificates: what they are for, how long they last, and that only the right ones are believed."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.errors import ConfigError
from server.coordinator.authority import expiry, fingerprint, read_authority
from server.coordinator.folder import Folder
from server.coordinator.requests import read_request
from server.coordinator.setup import renew
from server.coordinator.up import expiring

DAY = timedelta(days=1)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_authority_signs_servers_and_sites_and_no_other_authority(folder: Folder) -> None:
    authority = load(folder.ca)
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    key = authority.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"
    assert timedelta(days=7299) < authority.not_valid_after_utc - datetime.now(UTC) < timedelta(days=7301)


def test_the_server_is_named_as_sites_dial_it_and_lasts_at_most_five_years(folder: Folder) -> None:
    server = load(folder.certificate)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["127.0.0.1"]
    purposes = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert server.not_valid_after_utc - datetime.now(UTC) < timedelta(days=5 * 365 + 1)
    assert server.not_valid_before_utc < datetime.now(UTC) - 23 * timedelta(hours=1)  # clocks an hour apart
    assert load(folder.inner_certificate).not_valid_after_utc == load(folder.ca).not_valid_after_utc


def test_private_files_are_private(folder: Folder) -> None:
    for path in (folder.ca_key, folder.key, folder.inner_key, folder.secret):
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(folder.secret.read_bytes()) == 32


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Agree on TLS over a pair of sockets, or raise what the client says."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(theirs, server_hostname=host):
            pass
    finally:
        thread.join(10)
        theirs.close()


def strict(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python has it from 3.13 on
    return context


def test_a_client_that_trusts_the_authority_alone_believes_the_server(
    folder: Folder, make_folder: Callable[..., Folder], tmp_path: Path
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder.certificate, folder.key)
    shake_hands(server, strict(folder.ca), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, strict(folder.ca), "127.0.0.2")
    other = make_folder(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, strict(other.ca), "127.0.0.1")


def test_a_sites_certificate_is_no_servers(folder: Folder, ask_to_join: Callable[..., Path], tmp_path: Path) -> None:
    request = read_request(ask_to_join(tmp_path, "st-anna"), "st-anna")
    site = x509.load_pem_x509_certificate(read_authority(folder.ca, folder.ca_key).site(request.certificate, "st-anna"))
    assert list(site.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert site.subject.rfc4514_string() == "CN=st-anna"
    site.verify_directly_issued_by(load(folder.ca))


def test_renewing_changes_the_servers_certificate_and_not_the_authority(folder: Folder) -> None:
    before = {path: path.read_bytes() for path in (folder.ca, folder.certificate, folder.key, folder.inner_key)}
    until = renew(folder)
    assert until == expiry(folder.certificate)
    changed = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed == {"server.pem", "server.key", "loopback.key"}
    load(folder.certificate).verify_directly_issued_by(load(folder.ca))


def test_without_the_authoritys_key_it_is_said_what_is_missing(folder: Folder) -> None:
    folder.ca_key.rename(folder.path / "offline")
    with pytest.raises(ConfigError, match=r"ca\.key: the authority's key is not here; bring it back"):
        renew(folder)


def test_a_key_of_another_authority_is_refused(
    folder: Folder, make_folder: Callable[..., Folder], tmp_path: Path
) -> None:
    folder.ca_key.write_bytes(make_folder(tmp_path / "other").ca_key.read_bytes())
    with pytest.raises(ConfigError, match="not the key of"):
        renew(folder)


@pytest.mark.parametrize(("days", "said"), [(61, []), (59, ["ends on"]), (-1, ["ended on"])])
def test_the_end_of_a_certificate_is_told_two_months_ahead(folder: Folder, days: int, said: list[str]) -> None:
    authority = read_authority(folder.ca, folder.ca_key)
    lasting = days * DAY if days > 0 else timedelta(seconds=-60)
    folder.certificate.write_bytes(authority.server(["127.0.0.1"], lasting).certificate)
    told = expiring(folder)
    assert [words for words in ("ends on", "ended on") if any(words in line for line in told)] == said


def test_the_fingerprint_is_as_openssl_writes_it(folder: Folder) -> None:
    shown = fingerprint(folder.ca.read_bytes())
    assert len(shown.split(":")) == 32
    assert shown.upper() == shown
