"""Every way in which the connection fails has words of its own."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from flwr.proto.fleet_pb2 import ActivateNodeResponse
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatResponse

from client.check import fleet
from client.check.connection import clock, look
from client.check.findings import Said
from client.home.join import Welcome
from client.home.layout import Home
from server.coordinator.authority import Authority

HOST = "127.0.0.1"
ACTIVATE, BEAT, LEAVE = (f"/v1/fleet/{name}" for name in ("activate-node", "send-node-heartbeat", "deactivate-node"))
WELCOMING = {
    ACTIVATE: (200, ActivateNodeResponse(node_id=7).SerializeToString()),
    BEAT: (200, SendNodeHeartbeatResponse(success=True).SerializeToString()),
    LEAVE: (200, b""),
}
Join = Callable[..., Welcome]


def flower(code: int) -> bytes:
    return json.dumps({"code": code, "detail": "no"}).encode()


def last(home: Home, welcome: Welcome, level: str = "fail") -> str:
    """Give the last finding, where the way ended."""
    found = list(look(home, welcome))
    assert found[-1][0] == level, found
    return found[-1][1]


def said(found: list[Said], start: str) -> Said:
    return next(one for one in found if one[1].startswith(start))


def test_all_is_well(home: Home, joined: Join, serve, authority: Authority) -> None:
    server = serve(authority.server([HOST]), WELCOMING)
    found = list(look(home, joined(server.address)))
    assert {one[0] for one in found} == {"ok"}
    port = server.address.rpartition(":")[2]
    assert said(found, "firewall")[1].endswith(f"outbound TCP from this host to {HOST} port {port}; nothing inbound")
    assert "'127.0.0.1', issued by 'Sitebridge coordinator'" in said(found, "TLS")[1]
    assert server.asked == [ACTIVATE, BEAT, LEAVE]  # the site is not left behind as connected


def test_before_joining_nothing_is_dialled(home: Home) -> None:
    assert [one[0] for one in look(home, None)] == ["warn"]


def test_a_name_that_nobody_knows(home: Home, joined: Join, monkeypatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "knows no address of the coordinator nowhere.example" in last(home, joined("nowhere.example:8443"))


def test_refused(home: Home, joined: Join, closed_port: int) -> None:
    assert f"{HOST}:{closed_port} refuses: the machine is there" in last(home, joined(f"{HOST}:{closed_port}"))


def test_dropped(home: Home, joined: Join, closed_port: int, monkeypatch) -> None:
    def dropped(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", dropped)
    assert "most likely a firewall drops it" in last(home, joined(f"{HOST}:{closed_port}"))


def test_plain_http(home: Home, joined: Join, serve) -> None:
    server = serve(None)
    assert "answers in plain HTTP, without TLS" in last(home, joined(server.address))
    assert server.asked == []


def test_something_else_listens(home: Home, joined: Join) -> None:
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(20)

        def hang_up() -> None:
            for _ in range(3):  # the port is opened, tried with TLS, and asked in plain HTTP
                listener.accept()[0].close()

        import threading

        thread = threading.Thread(target=hang_up)
        thread.start()
        text = last(home, joined(f"{HOST}:{listener.getsockname()[1]}"))
        thread.join()
    assert "does not speak TLS, or was cut off in the midst of it" in text


def test_a_proxy_that_ends_tls_is_named(home: Home, joined: Join, serve, inspector: Authority) -> None:
    server = serve(inspector.server([HOST]), WELCOMING)
    text = last(home, joined(server.address))
    assert f"{server.address} is answered by '127.0.0.1', issued by 'Sitebridge Hospital Inspection'" in text
    assert "a proxy or firewall ends TLS on the way" in text
    assert server.asked == []


def test_another_authority_of_the_same_name(home: Home, joined: Join, serve, tmp_path) -> None:
    from server.coordinator.authority import new_authority, read_authority

    pair = new_authority("coordinator")
    (tmp_path / "other.pem").write_bytes(pair.certificate)
    (tmp_path / "other.key").write_bytes(pair.key)
    server = serve(read_authority(tmp_path / "other.pem", tmp_path / "other.key").server([HOST]))
    assert "another authority of the same name" in last(home, joined(server.address))


def test_expired(home: Home, joined: Join, serve, authority: Authority) -> None:
    server = serve(authority.server([HOST], timedelta(hours=-1)))
    assert "the coordinator's certificate ended on" in last(home, joined(server.address))


def test_another_name(home: Home, joined: Join, serve, authority: Authority) -> None:
    server = serve(authority.server(["elsewhere.example"]))
    assert f"the coordinator's certificate is for another name than {HOST}" in last(home, joined(server.address))


def test_a_client_certificate_that_is_not_accepted(
    home: Home, joined: Join, serve, authority: Authority, tmp_path
) -> None:
    from server.coordinator.authority import new_authority

    (tmp_path / "clients.pem").write_bytes(new_authority("another").certificate)
    server = serve(authority.server([HOST]), WELCOMING, demand=tmp_path / "clients.pem")
    assert "ended the connection once it had seen this site's certificate" in last(home, joined(server.address, True))


@pytest.mark.parametrize(
    ("mutual_tls", "words"),
    [(False, "now demands a certificate of each site"), (True, "does not accept relay/client.pem")],
)
def test_a_proxy_that_demands_a_certificate(
    mutual_tls: bool, words: str, home: Home, joined: Join, serve, authority: Authority
) -> None:
    refusal = b"<center>No required SSL certificate was sent</center>"
    server = serve(authority.server([HOST]), {ACTIVATE: (400, refusal)})
    assert words in last(home, joined(server.address, mutual_tls))


@pytest.mark.parametrize(
    ("hours", "level"), [(0, "ok"), (1, "fail"), (-1, "fail")], ids=["right", "this one behind", "this one ahead"]
)
def test_clocks(hours: int, level: str, home: Home, joined: Join, serve, authority: Authority) -> None:
    server = serve(authority.server([HOST]), WELCOMING)
    server.clock = timedelta(hours=hours)
    found = list(look(home, joined(server.address)))
    assert said(found, "clock")[0] == level
    if hours:
        way = "behind" if hours > 0 else "ahead of"
        assert f"s {way} the coordinator's" in said(found, "clock")[1]
        assert "time server (NTP)" in said(found, "clock")[1]


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, "ok"), (3, "warn"), (6, "fail"), (-3, "warn"), (-100, "warn"), (-301, "fail")]
)
def test_limits_of_the_clock(seconds: int, level: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert clock(format_datetime(now - timedelta(seconds=seconds), usegmt=True), now)[0] == level


def test_a_clock_that_nobody_tells() -> None:
    assert clock("", datetime.now(UTC))[0] == "warn"


REFUSED = {
    "unregistered": (412, flower(fleet.NOT_ACTIVATED), "the coordinator does not know this site's key"),
    "signature": (401, b"", "the signature of relay/node.key is refused, although the clock is right"),
    "version": (412, flower(fleet.OTHER_VERSION), "another version of Flower"),
    "flower is down": (502, b"", "not Flower behind it (HTTP 502)"),
    "not a coordinator": (404, b"", "no coordinator of Sitebridge (HTTP 404)"),
}


@pytest.mark.parametrize(("status", "body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_not_let_in(
    status: int, body: bytes, words: str, home: Home, joined: Join, serve, authority: Authority
) -> None:
    server = serve(authority.server([HOST]), {ACTIVATE: (status, body)})
    assert words in last(home, joined(server.address))


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        ((400, flower(fleet.NO_INTERVAL)), "warn", "counts this site as connected while its relay is not"),
        ((401, b""), "fail", "no longer knows this site's key"),
    ],
    ids=["cut off", "removed"],
)
def test_a_site_that_was_let_in_before(
    answer: tuple[int, bytes], level: str, words: str, home: Home, joined: Join, serve, authority: Authority
) -> None:
    home.node_log.write_text("INFO :      Starting Flower SuperNode\nINFO :      SuperNode ID: 7\n")
    server = serve(authority.server([HOST]), {ACTIVATE: (412, flower(fleet.NOT_ACTIVATED)), BEAT: answer})
    assert words in last(home, joined(server.address), level)
    assert server.asked == [ACTIVATE, BEAT]


def test_a_message_that_is_lost(home: Home, joined: Join, serve, authority: Authority) -> None:
    server = serve(authority.server([HOST]), WELCOMING | {BEAT: (200, b"")})
    assert "the coordinator did not take it" in last(home, joined(server.address))
    assert server.asked[-1] == LEAVE


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (403, "Forbidden by rule 12"),
            "says 'HTTP/1.0 403 Forbidden by rule 12'; ask whoever runs it to",
        ),
        ((407, "Proxy Authentication Required"), "it wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@"),
    ],
)
def test_a_proxy_that_refuses(
    answer: tuple[int, str], words: str, home: Home, joined: Join, serve, monkeypatch
) -> None:
    proxy = serve(None, {"CONNECT": answer})
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    found = list(look(home, joined("far.example:8443")))
    assert words in found[-1][1]
    assert proxy.asked == ["far.example:8443"]  # the proxy finds the name, this machine need not
    assert f"to {HOST} port" in said(found, "firewall")[1]
    assert "The proxy must allow CONNECT to far.example:8443" in said(found, "firewall")[1]


def test_a_proxy_s_password_is_not_printed(home: Home, joined: Join, serve, monkeypatch) -> None:
    proxy = serve(None, {"CONNECT": (403, "No")})
    monkeypatch.setenv("HTTPS_PROXY", f"http://name:hunter2@{proxy.address}")
    assert "hunter2" not in str(list(look(home, joined("far.example:8443"))))


def test_a_proxy_of_another_kind(home: Home, joined: Join, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    assert "HTTPS_PROXY is no HTTP proxy's address" in last(home, joined("far.example:8443"))
