"""A site that has joined, and servers on loopback that stand in for its coordinator, or for what stands in the way."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509

from client.home.init import initialise
from client.home.join import Welcome, join
from client.home.layout import Home
from server.coordinator.authority import Authority, Pair, new_authority, read_authority

HOST = "127.0.0.1"
Replies = dict[str, tuple[int, bytes]]


class Fake(ThreadingHTTPServer):
    """Answers POST by a table of paths."""

    daemon_threads = True
    clock = timedelta(0)

    def __init__(self, replies: Replies) -> None:
        super().__init__((HOST, 0), Handler)
        self.replies = replies
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that breaks off is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.replies.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(*self.server.replies["CONNECT"])  # type: ignore[arg-type]
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.server.clock, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The coordinator's authority."""
    return make_authority(tmp_path_factory.mktemp("ca"), "coordinator")


@pytest.fixture(scope="session")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of a hospital's proxy that looks into TLS."""
    return make_authority(tmp_path_factory.mktemp("inspector"), "Hospital Inspection")


def make_authority(folder: Path, name: str) -> Authority:
    pair = new_authority(name)
    (folder / "ca.pem").write_bytes(pair.certificate)
    (folder / "ca.key").write_bytes(pair.key)
    return read_authority(folder / "ca.pem", folder / "ca.key")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Fake]]:
    """Start a server: with a pair, over TLS; with `demand`, only for clients whom that authority knows."""
    with ExitStack() as stack:

        def begin(pair: Pair | None, replies: Replies | None = None, demand: Path | None = None) -> Fake:
            server = Fake(replies or {})
            if pair is not None:
                (tmp_path / "server.pem").write_bytes(pair.certificate + pair.key)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(tmp_path / "server.pem")
                if demand is not None:
                    context.load_verify_locations(demand)
                    context.verify_mode = ssl.CERT_REQUIRED
                wrapped = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
                server.socket = wrapped
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return server

        yield begin


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A site that has not joined."""
    return initialise(tmp_path / "site", "hill")


@pytest.fixture
def joined(home: Home, authority: Authority, tmp_path: Path) -> Callable[..., Welcome]:
    """Let the site join a coordinator at an address."""

    def with_address(address: str, mutual_tls: bool = False) -> Welcome:
        import json

        request = json.loads(home.request("hill").read_text())
        signed = authority.site(x509.load_pem_x509_csr(request["certificate_request"].encode()), "hill")
        welcome = Welcome(
            name="hill", address=address, mutual_tls=mutual_tls, ca=pem(authority), certificate=signed.decode()
        )
        (tmp_path / "hill.welcome.json").write_text(welcome.model_dump_json())
        return join(home, tmp_path / "hill.welcome.json")[0]

    return with_address


def pem(authority: Authority) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return authority.certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxy of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
