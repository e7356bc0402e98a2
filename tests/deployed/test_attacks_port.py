"""Attacks on the coordinator's one port: none gets in, none ends a server, each is counted by its kind."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from attacking import authority, flower_log, refused, speak, statuses, trusting, unharmed
from deployment import Deployment

from server.coordinator.authority import new_authority

pytestmark = pytest.mark.slow

FORBIDDEN = [
    "/v1/control/list-federations",
    "/v1/control/start-run",
    "/v1/control/register-node",
    "/v1/runtime/acquire-task",
    "/v1/runtime/pull-task-input",
    "/docs",
    "/openapi.json",
    "/health",
    "/",
    "//v1/control/list-federations",
    "//v1/fleet/pull-messages",
    "/v1//fleet/pull-messages",
    "/v1/fleet/../control/list-federations",
    "/v1/fleet/%2e%2e/control/list-federations",
    "/v1/fleet/..%2fcontrol/list-federations",
    "/v1/fleet/%2e%2e%2fcontrol%2flist-federations",
    "/v1/fleet/..;/control/list-federations",
    "/v1/fleet/.%2e/%2e%2e/v1/control/list-federations",
    "/v1/fleet\\..\\control\\list-federations",
    "/%76%31/control/list-federations",
    "/v1/control/list-federations#/v1/fleet/pull-messages",
    "/v1/control/list-federations?/v1/fleet/pull-messages",
    "/v1/fleet/pull-messages/../../control/list-federations",
    "/v1/fleet/pull-messages%0d%0aX:%20y",
    "https://localhost/v1/control/list-federations",
    "http://127.0.0.1:8000/v1/control/list-federations",
]
ONE = b"Host: localhost\r\nConnection: close\r\n"
HIDDEN = b"POST /v1/control/list-federations HTTP/1.1\r\n" + ONE + b"Content-Length: 0\r\n\r\n"
SMUGGLED = {
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(HIDDEN) + 5)
    + HIDDEN,
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a space before the colon": b"Content-Length : %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length below zero": b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a chunk of no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + HIDDEN,
}


def post(path: str, more: bytes = b"Content-Length: 0\r\n\r\n", method: str = "POST") -> bytes:
    return f"{method} {path} HTTP/1.1\r\n".encode() + ONE + more


@pytest.mark.parametrize("said", [post("/v1/fleet/pull-messages"), b"\x00\x01\x02\x03" * 50, b"SSH-2.0-x\r\n"])
def test_plain_text(deployment: Deployment, said: bytes) -> None:
    with unharmed(deployment), refused(deployment, plain_text=1):
        assert statuses(speak(deployment, said, None)) in ([], [400])


def test_old_tls(deployment: Deployment) -> None:
    """TLS 1.1, in bytes of our own: OpenSSL here would not even ask for it."""
    hello = bytes.fromhex("160301002f0100002b0302") + bytes(32) + bytes.fromhex("000004002f00350100")
    with unharmed(deployment), refused(deployment, failed_tls=1):
        answered = speak(deployment, hello, None)
    assert answered[:1] == b"\x15"  # an alert, and no server's hello


def test_a_wrong_authority(deployment: Deployment, tmp_path: Path) -> None:
    other = tmp_path / "ca.pem"
    other.write_bytes(new_authority("localhost").certificate)
    with (
        unharmed(deployment),
        refused(deployment, distrusts_us=1),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        speak(deployment, post("/v1/fleet/pull-messages"), trusting(other))


def test_nothing_but_flowers_calls_for_sites(deployment: Deployment) -> None:
    context = trusting(authority(deployment))
    with unharmed(deployment), refused(deployment, forbidden_path=len(FORBIDDEN), malformed=1):
        answers = {path: statuses(speak(deployment, post(path), context)) for path in FORBIDDEN}
        assert statuses(speak(deployment, post("/v1/fleet/pull-messages%00"), context)) == [400]
    assert answers == {path: [404] for path in FORBIDDEN}
    assert "list-federations" not in flower_log(deployment)


def test_nothing_but_post(deployment: Deployment) -> None:
    context, methods = trusting(authority(deployment)), ["GET", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
    with unharmed(deployment), refused(deployment, forbidden_path=len(methods)):
        for method in methods:
            said = post("/v1/fleet/pull-messages", method=method)
            assert statuses(speak(deployment, said, context)) == [405], method


@pytest.mark.parametrize("headers", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_request_hidden_in_another(deployment: Deployment, headers: bytes) -> None:
    context = trusting(authority(deployment))
    with unharmed(deployment), refused(deployment, malformed=1):
        said = post("/v1/fleet/pull-messages", headers).replace(b"Connection: close\r\n", b"", 1)
        answered = statuses(speak(deployment, said, context))
    assert answered in ([400], [501])
    assert "list-federations" not in flower_log(deployment)


def test_a_request_behind_another_is_judged_by_itself(deployment: Deployment) -> None:
    """Chunks that end early, then a second request on the same connection; and an upgrade to another protocol."""
    context = trusting(authority(deployment))
    chunked = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN
    said = post("/v1/fleet/pull-messages", chunked).replace(b"Connection: close\r\n", b"", 1)
    with unharmed(deployment), refused(deployment, malformed=2, forbidden_path=1):
        first, second = statuses(speak(deployment, said, context))
        assert (first, second) == (415, 404)
        upgrade = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 0\r\n\r\n"
        assert statuses(speak(deployment, post("/v1/fleet/pull-messages", upgrade), context)) == [415]
    assert "list-federations" not in flower_log(deployment)
