"""Why TLS failed, in words: who answered, and whether something on the way ends TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime

from cryptography import x509

from client.check.hops import BrokenError, Way
from client.home.keys import common_name, issued_by, read_certificate

_PATIENCE = 8.0


def explain(way: Way, error: OSError) -> str:
    """Say why a handshake failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        shown = _shown(way)
        return f"{way.target}: {error.verify_message}" if shown is None else _of_certificate(way, shown, error)
    first = _first_words(way)
    if first.startswith(b"HTTP/"):
        return (
            f"{way.target} answers in plain HTTP, without TLS; that is not the coordinator's proxy: is the port right, "
            "does something else listen there? Nothing is ever sent to it in plain text"
        )
    if isinstance(error, TimeoutError):
        return f"{way.target}: the port opened, but TLS was not answered in {_PATIENCE:.0f} s; a firewall may hold it"
    return (
        f"{way.target} does not speak TLS, or was cut off in the midst of it ({_reason(error)}); is the port right? If "
        "so, a firewall on the way looks into connections: ask for an exception for this address"
    )


def who(certificate: x509.Certificate) -> str:
    """Say whose a certificate is."""
    issuer = common_name(certificate.issuer)
    return f"{common_name(certificate.subject)!r}, issued by {issuer!r}"


def _of_certificate(way: Way, shown: x509.Certificate, error: ssl.SSLCertVerificationError) -> str:
    authority = read_certificate(way.ca.read_bytes(), str(way.ca))
    now = datetime.now(UTC)
    if shown.issuer == authority.subject and not issued_by(shown, authority):
        return (
            f"{way.target} shows a certificate of another authority of the same name {common_name(shown.issuer)!r}; "
            "telephone: was the coordinator set up anew? Then ask for a new welcome file; otherwise do not connect"
        )
    if not issued_by(shown, authority):
        return (
            f"{way.target} is answered by {who(shown)}, which is not the coordinator's authority "
            f"({common_name(authority.subject)!r}): a proxy or firewall ends TLS on the way. Ask whoever runs it to "
            f"let {way.target} pass without TLS inspection; this site will not connect through it"
        )
    if shown.not_valid_after_utc < now:
        return (
            f"the coordinator's certificate ended on {shown.not_valid_after_utc:%Y-%m-%d}; ask the coordinator to run "
            "`sitebridge coordinator renew` (or is this machine's clock ahead?)"
        )
    if shown.not_valid_before_utc > now:
        begins = shown.not_valid_before_utc
        return f"the coordinator's certificate begins on {begins:%Y-%m-%d %H:%M} UTC; is this machine's clock behind?"
    return (
        f"the coordinator's certificate is for another name than {way.host} ({error.verify_message}); ask the "
        f"coordinator to add {way.host} to its certificate, or for the name to dial"
    )


def _shown(way: Way) -> x509.Certificate | None:
    """Fetch the certificate that is shown, whoever shows it; nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to name who answers
    with suppress(OSError, BrokenError, ValueError):
        plain = way.connect()
        with plain, context.wrap_socket(plain, server_hostname=way.host) as secured:
            shown = secured.getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(shown) if shown else None
    return None


def _first_words(way: Way) -> bytes:
    """Give what a port says to a question in plain HTTP."""
    with suppress(OSError, BrokenError), way.connect() as plain:
        plain.sendall(f"HEAD / HTTP/1.1\r\nHost: {way.target}\r\nConnection: close\r\n\r\n".encode())
        plain.settimeout(_PATIENCE)
        return plain.recv(16, socket.MSG_WAITALL)
    return b""


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else error.strerror or type(error).__name__
