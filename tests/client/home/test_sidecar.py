"""The sidecar shows the site's certificate, to the right coordinator alone, through a proxy where there is one."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from client.home.join import join
from client.home.layout import Home
from client.home.sidecar import CERTIFICATE, make_certificate
from server.coordinator.authority import Authority

HOST = "127.0.0.1"
Write = Callable[..., Path]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, answer: Callable[[socket.socket], None]) -> str:
    """Answer connections, each in a thread."""
    listener = stack.enter_context(socket.create_server((HOST, 0)))

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            connection.settimeout(30)
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    def guarded(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    return f"{HOST}:{listener.getsockname()[1]}"


def demanding(authority: Authority, server: Authority, folder: Path) -> Callable[[socket.socket], None]:
    """Say who came, then echo; only who shows a certificate of `authority` gets that far."""
    from cryptography.hazmat.primitives.serialization import Encoding

    pair = server.server([HOST])
    (folder / "server.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=authority.certificate.public_bytes(Encoding.PEM).decode())
    context.verify_mode = ssl.CERT_REQUIRED

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            subject = dict(pair[0] for pair in secured.getpeercert()["subject"])  # type: ignore[index]
            secured.sendall(subject["commonName"].encode().ljust(16))
            while block := secured.recv(65_536):
                secured.sendall(block)

    return answer


def begin(stack: ExitStack, home: Home, **environment: str) -> int:
    """Start a site's sidecar; gives its port."""
    make_certificate(home.relay)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "client.home.sidecar", str(home.path), str(port)]
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = subprocess.Popen(command, env=kept | environment, stderr=subprocess.DEVNULL)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    return port


def through(home: Home, port: int) -> ssl.SSLSocket:
    """Connect as the SuperNode does: it trusts the sidecar's certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(home.relay / CERTIFICATE)
    until = time.monotonic() + 30
    while True:
        try:
            plain = socket.create_connection((HOST, port), timeout=30)
        except ConnectionRefusedError:
            assert time.monotonic() < until, "the sidecar does not listen"
            time.sleep(0.05)
        else:
            return context.wrap_socket(plain, server_hostname=HOST)


def receive(secured: ssl.SSLSocket, count: int) -> bytes:
    found = b""
    while len(found) < count and (block := secured.recv(65_536)):
        found += block
    return found


def test_it_shows_the_site_s_certificate(
    home: Home, welcome: Write, authority: Authority, tmp_path: Path, stack: ExitStack
) -> None:
    address = listen(stack, demanding(authority, authority, tmp_path))
    join(home, welcome(address=address, mutual_tls=True))
    port = begin(stack, home)
    for _ in range(2):
        with through(home, port) as secured:
            assert receive(secured, 16).strip() == b"hill"
            for _ in range(30):  # in turns: OpenSSL reads and writes one connection from one thread
                sent = os.urandom(10_000)
                secured.sendall(sent)
                assert receive(secured, len(sent)) == sent


def test_it_does_not_speak_to_another_coordinator(
    home: Home, welcome: Write, authority: Authority, make_authority, tmp_path: Path, stack: ExitStack
) -> None:
    address = listen(stack, demanding(authority, make_authority("another"), tmp_path))
    join(home, welcome(address=address, mutual_tls=True))
    with through(home, begin(stack, home)) as secured:
        assert receive(secured, 1) == b""


def test_it_goes_through_the_hospital_s_proxy(
    home: Home, welcome: Write, authority: Authority, tmp_path: Path, stack: ExitStack
) -> None:
    asked: list[bytes] = []
    answer = demanding(authority, authority, tmp_path)

    def proxy(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        asked.append(head)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        answer(connection)

    join(home, welcome(address=f"{HOST}:9", mutual_tls=True))
    port = begin(stack, home, HTTPS_PROXY=f"http://me:word@{listen(stack, proxy)}")
    with through(home, port) as secured:
        assert receive(secured, 16).strip() == b"hill"
    assert asked[0].startswith(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\nProxy-Authorization: Basic ")
