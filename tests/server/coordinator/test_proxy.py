"""The proxy as nginx runs it: what it lets through, and what it calls those whom it turns away."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from server.coordinator.authority import read_authority
from server.coordinator.folder import Folder
from server.coordinator.proxy import proxy_program
from server.coordinator.refusals import read_refusals
from server.coordinator.requests import read_request
from server.coordinator.settings import read_settings, split

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

CALL = "/v1/fleet/pull-messages"
Serve = Callable[..., Folder]


class Echo(BaseHTTPRequestHandler):
    """Stands in for the SuperLink: 401 for a body that says so, else 200."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401 if body == b"unknown key" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stand_in(folder: Folder, port: int) -> Iterator[None]:
    inner = ThreadingHTTPServer(("127.0.0.1", port), Echo)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.inner_certificate, folder.inner_key)
    inner.socket = context.wrap_socket(inner.socket, server_side=True)
    thread = Thread(target=inner.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield
    inner.shutdown()
    inner.server_close()
    thread.join(10)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Run nginx and a stand-in for the SuperLink."""
    with ExitStack() as stack:

        def begin(folder: Folder, superlink: bool = True) -> Folder:
            settings = read_settings(folder.settings)
            if superlink:
                stack.enter_context(stand_in(folder, settings.control_port))
            log = stack.enter_context((folder.state / "proxy.log").open("ab"))
            nginx = subprocess.Popen(list(proxy_program(folder, settings).command), stderr=log, stdout=log)
            stack.callback(nginx.wait, 10)
            stack.callback(nginx.terminate)
            wait_for(split(settings.listen))
            return folder

        yield begin


def wait_for(address: tuple[str, int]) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx did not start")


def address(folder: Folder) -> tuple[str, int]:
    return split(read_settings(folder.settings).listen)


def trusting(folder: Folder) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder.ca))


def ask(folder: Folder, path: str, context: ssl.SSLContext, method: str = "POST", body: bytes = b"") -> int:
    host, port = address(folder)
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=10)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def refused(folder: Folder, number: int) -> list[str]:
    """Wait until so many refusals are written down, other than those of a port that was only tried."""
    for _ in range(300):
        kinds = [refusal.kind for refusal in read_refusals(folder) if refusal.kind != "broke-off"]
        if len(kinds) >= number:
            return kinds
        time.sleep(0.02)
    raise AssertionError(f"{kinds}: fewer than {number}")


def test_only_flowers_calls_for_sites_are_let_through(serve: Serve, folder: Folder) -> None:
    serve(folder)
    context = trusting(folder)
    assert ask(folder, CALL, context) == 200
    forbidden = [
        "/",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/docs",
        "/v1/fleet/",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/..%2fcontrol/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/control/../fleet/pull-messages",
        "//v1/fleet/pull-messages",
        "/v1/fleet/pull-messages?x=1",
        "/V1/fleet/pull-messages",
    ]
    assert {path: ask(folder, path, context) for path in forbidden} == dict.fromkeys(forbidden, 404)
    assert ask(folder, CALL, context, "GET") == 405
    assert refused(folder, len(forbidden) + 1) == ["forbidden-path"] * (len(forbidden) + 1)


def test_a_long_message_and_an_unknown_key(serve: Serve, make_folder: Callable[..., Folder], tmp_path: Path) -> None:
    folder = serve(make_folder(tmp_path / "small", max_message_mb=1))
    assert ask(folder, CALL, trusting(folder), body=bytes(2_000_000)) == 413
    assert ask(folder, CALL, trusting(folder), body=bytes(900_000)) == 200
    assert ask(folder, CALL, trusting(folder), body=b"unknown key") == 401
    assert refused(folder, 2) == ["too-large", "unauthenticated"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"GET /v1/fleet/pull-messages HTTP/1.1\r\nHost: x\r\n\r\n", "plain-text"),
        (b"hello there\r\n\r\n", "plain-text"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "plain-text"),
    ],
)
def test_plain_text(serve: Serve, folder: Folder, text: bytes, kind: str) -> None:
    serve(folder)
    with socket.create_connection(address(folder), timeout=10) as plain:
        plain.sendall(text)
        assert b"HTTP/1.1 200" not in plain.recv(1000)
    assert refused(folder, 1) == [kind]


def test_a_site_with_another_ca(
    serve: Serve, folder: Folder, make_folder: Callable[..., Folder], tmp_path: Path
) -> None:
    serve(folder)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(folder, CALL, trusting(make_folder(tmp_path / "other")))
    assert refused(folder, 1) == ["distrusts-us"]


def test_old_tls(serve: Serve, folder: Folder) -> None:
    serve(folder)
    hello = bytes.fromhex("160301002f0100002b0301") + bytes(32) + bytes.fromhex("000004002f00350100")
    with socket.create_connection(address(folder), timeout=10) as plain:
        plain.sendall(hello)
        plain.recv(100)
    assert refused(folder, 1) == ["failed-tls"]


def client_certificate(folder: Folder, request: Path, name: str, key: Path) -> ssl.SSLContext:
    """Trust the coordinator and show a certificate that `folder`'s authority signed."""
    checked = read_request(request, name)
    certificate = request.parent / f"{name}.pem"
    certificate.write_bytes(read_authority(folder.ca, folder.ca_key).site(checked.certificate, name))
    context = trusting(folder)
    context.load_cert_chain(certificate, key)
    return context


def test_mutual_tls(
    serve: Serve, make_folder: Callable[..., Folder], ask_to_join: Callable[..., Path], tmp_path: Path
) -> None:
    folder = serve(make_folder(tmp_path / "mutual", mutual_tls=True))
    other = make_folder(tmp_path / "other")
    request, key = ask_to_join(tmp_path, "st-anna"), tmp_path / "st-anna.tls.key"
    assert ask(folder, CALL, client_certificate(folder, request, "st-anna", key)) == 200
    assert ask(folder, CALL, trusting(folder)) == 400
    stranger = client_certificate(other, request, "st-anna", key)
    stranger.load_verify_locations(folder.ca)
    assert ask(folder, CALL, stranger) == 400
    assert refused(folder, 2) == ["no-client-certificate", "unknown-certificate"]


def test_nothing_is_written_outside_the_folder(serve: Serve, folder: Folder) -> None:
    serve(folder)
    configuration = (folder.proxy / "nginx.conf").read_text()
    assert "@" not in configuration
    assert (folder.proxy / "nginx.pid").is_file()
    assert {path.name for path in (folder.proxy / "temporary").iterdir()} == {
        "body",
        "fastcgi",
        "proxy",
        "scgi",
        "uwsgi",
    }


def test_a_superlink_that_is_away(serve: Serve, folder: Folder) -> None:
    serve(folder, superlink=False)
    assert ask(folder, CALL, trusting(folder)) == 502
    assert refused(folder, 1) == ["superlink-away"]
