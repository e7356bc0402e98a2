"""A service of OpenAI's kind: real requests to a server on loopback that fails in every way."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import sleep as wait
from typing import Any

import numpy as np
import pytest

from client.embedding import door
from client.embedding.address import check_url
from client.embedding.build import Build
from client.embedding.door import Clock
from client.embedding.service import Service, open_service
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, load_table
from common.errors import TableError

TEXTS = ["fever", "cough", "Not fever"]
KEY = "sk-very-secret"


class Time:
    """A clock that jumps when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ask(service: Any, time: Time, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Open the service as asked, and close it in the end."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    opened: list[Service] = []

    def start(**words: Any) -> Service:
        opened.append(open_service(service.url, "acme-small", clock=time.clock(), **words))
        return opened[-1]

    yield start
    for one in opened:
        one.door.close()


def vector(text: str, size: int = 6) -> list[float]:
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:size]]


def status(number: int, headers: dict[str, str] | None = None, **error: str) -> Callable[..., None]:
    return lambda handler, asked: handler.answer({"error": error} if error else b"oops", number, headers)


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[..., None]:
    """Answer well but for one thing."""

    def act(handler: Any, asked: dict[str, Any]) -> None:
        data = [{"index": n, "embedding": vector(text)} for n, text in enumerate(asked["input"])]
        answer = {"data": data, "model": asked["model"]}
        changed = change(answer)
        handler.answer(answer if changed is None else changed)

    return act


def cut(handler: Any, asked: dict[str, Any]) -> None:
    """Promise a body, send a part of it and cut the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang_up(handler: Any, asked: dict[str, Any]) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def test_a_request_is_as_openai_describes_it(service: Any, ask: Any) -> None:
    vectors = ask(dimensions=4, prefix="query: ").embed(TEXTS)
    [(path, headers, asked)] = service.requests
    assert path == "/v1/embeddings"
    assert headers["Authorization"] == f"Bearer {KEY}"
    texts = [f"query: {text}" for text in TEXTS]
    assert asked == {"model": "acme-small", "input": texts, "encoding_format": "float", "dimensions": 4}
    np.testing.assert_allclose(vectors, [vector(text, 4) for text in texts], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_what_is_not_asked_is_not_sent(service: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    ask().embed(TEXTS)
    [(_, headers, asked)] = service.requests
    assert "Authorization" not in headers
    assert set(asked) == {"model", "input", "encoding_format"}


def test_vectors_go_by_their_number_not_by_their_place(service: Any, ask: Any) -> None:
    service.script = [changed(lambda answer: answer["data"].reverse())]
    np.testing.assert_allclose(ask().embed(TEXTS), [vector(text) for text in TEXTS], rtol=1e-6)


@pytest.mark.parametrize("failure", [status(500), status(503), status(429), status(408), cut, hang_up])
def test_what_may_pass_is_tried_again_with_longer_waits(
    failure: Callable[..., None], service: Any, ask: Any, time: Time
) -> None:
    service.script = [failure, failure, failure]
    np.testing.assert_allclose(ask().embed(TEXTS), [vector(text) for text in TEXTS], rtol=1e-6)
    assert time.slept == [1, 2, 4]
    assert len(service.requests) == 4


def test_a_service_says_how_long_to_wait(service: Any, ask: Any, time: Time) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    dates = {"Date": format_datetime(now, usegmt=True)}
    dates["Retry-After"] = format_datetime(now + timedelta(seconds=90), usegmt=True)

    def dated(handler: Any, asked: dict[str, Any]) -> None:
        handler.date_time_string = lambda: dates["Date"]
        handler.answer(b"", 503, {"Retry-After": dates["Retry-After"]})

    service.script = [status(429, {"Retry-After": "17"}), dated, status(429, {"Retry-After": "soon"})]
    service.script += [status(429, {"Retry-After": "\u00b2"}), status(429, {"Retry-After": "1"})]
    ask().embed(TEXTS)
    assert time.slept == [17, 90, 4, 8, 16]


def test_a_wait_of_hours_is_not_waited_for(service: Any, ask: Any, time: Time) -> None:
    service.script = [status(429, {"Retry-After": "7200"})]
    with pytest.raises(TableError, match=r"status 429, and asks to wait 7200 s; what it gave so far is kept"):
        ask().embed(TEXTS)
    assert time.slept == []


def test_a_service_that_stays_away_is_given_up(service: Any, ask: Any, time: Time) -> None:
    service.script = [hang_up] * 99
    with pytest.raises(TableError, match=r"cannot be reached, or cuts the connection .*what it gave so far is kept"):
        ask().embed(TEXTS)
    assert time.slept == [1, 2, 4, 8, 16, 32]
    assert len(service.requests) == 7


def test_an_address_where_nobody_listens_is_given_up(service: Any, ask: Any, time: Time) -> None:
    opened = ask()
    service.server_close()
    with pytest.raises(TableError, match="cannot be reached"):
        opened.embed(TEXTS)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (status(400, message="bad\x1b[2J model sk-very-secret"), r'status 400 \("bad \[2J model \*\*\*"\)$'),
        (status(404), "status 404$"),
        (status(401, message="sk-very-secret is wrong"), "refuses the key in OPENAI_API_KEY: status 401$"),
        (status(307, {"Location": "http://127.0.0.1:9/"}), "sends elsewhere .status 307"),
        (status(429, message="pay first", code="insufficient_quota"), "pay first"),
        (lambda handler, asked: handler.answer(b"<html>"), "not JSON"),
        (lambda handler, asked: handler.answer(b"[" * 100_000), "not JSON"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(
    failure: Callable[..., None], message: str, service: Any, ask: Any, time: Time
) -> None:
    service.script = [failure]
    with pytest.raises(TableError, match=message) as raised:
        ask().embed(TEXTS)
    assert len(service.requests) == 1
    assert time.slept == []
    assert KEY not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def numbers(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda answer: answer["data"][1].update(embedding=value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer: answer["data"].pop() and None, "2 vectors for 3 texts"),
        (lambda answer: answer["data"].append(answer["data"][0]), "4 vectors for 3 texts"),
        (lambda answer: answer["data"][2].update(index=1), "3 vectors for 3 texts; expected one for each, numbered"),
        (lambda answer: answer["data"][2].update(index=[2]), "2 vectors for 3 texts"),
        (lambda answer: answer.update(data=3), "0 vectors for 3 texts"),
        (lambda answer: [], "0 vectors for 3 texts"),
        (numbers([float("nan")] * 6), "not finite"),
        (numbers([1e300] * 6), "not finite"),
        (numbers([0.5] * 5), "not lists of numbers, all of one length"),
        (numbers(["0.5"] * 6), "not lists of numbers"),
        (numbers("AAAA"), "not lists of numbers"),
        (lambda answer: answer.update(model="other"), "model 'other'; expected 'acme-small'"),
        (lambda answer: answer.update(model="acme-small-large"), "model 'acme-small-large'"),
        (lambda answer: answer.update(model="acme-small-8b"), "model 'acme-small-8b'"),
        (lambda answer: answer.pop("model") and None, "model 'None'"),
    ],
)
def test_an_answer_that_is_not_as_asked_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, service: Any, ask: Any
) -> None:
    service.script = [changed(change)]
    with pytest.raises(TableError, match=message):
        ask().embed(TEXTS)


def test_another_number_of_dimensions_than_asked_is_refused(service: Any, ask: Any) -> None:
    service.script = [changed(lambda answer: None)]  # takes no notice of what is asked
    with pytest.raises(TableError, match="6 numbers a text; expected 4"):
        ask(dimensions=4).embed(TEXTS)


@pytest.mark.parametrize("release", ["2026-01-01", "v2", "002"])
def test_a_release_of_the_model_is_the_model(service: Any, ask: Any, release: str) -> None:
    service.script = [changed(lambda answer: answer.update(model=f"acme-small-{release}"))]
    assert ask().embed(TEXTS).shape == (3, 6)


def test_a_service_that_does_not_answer_is_told_from_one_that_is_not_there(
    service: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    monkeypatch.setattr(door, "_TIMEOUT", door.httpx.Timeout(0.05))
    service.script = [lambda handler, asked: wait(0.2)] * 7
    with pytest.raises(TableError, match=r"does not answer in 0 s; a smaller --batch may help; what it gave so far"):
        ask().embed(TEXTS)
    assert len(time.slept) == 6


def test_a_proxy_is_not_asked_for_this_machine(service: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask().embed(TEXTS).shape == (3, 6)


@pytest.mark.parametrize("proxy", ["socks9://me:secret@host:1", "http://me:secret@host:port"])
def test_a_proxy_that_cannot_be_used_is_one_line(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(TableError, match="the proxy in HTTPS_PROXY or ALL_PROXY cannot be used") as raised:
        open_service("https://example.org/v1", "acme-small")
    assert "secret" not in str(raised.value)


def test_requests_keep_to_their_number_a_minute(service: Any, ask: Any, time: Time) -> None:
    opened = ask(per_minute=30)
    for _ in range(3):
        opened.embed(TEXTS)
    assert time.slept == [2, 2]
    time.now += 10
    opened.embed(TEXTS)
    assert time.slept == [2, 2]


def test_tries_that_failed_count_as_requests(service: Any, ask: Any, time: Time) -> None:
    service.script = [status(500)]
    ask(per_minute=6).embed(TEXTS)
    assert time.slept == [1, 9]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/v1", "not encrypted"),
        ("http://192.168.1.7/v1", "not encrypted"),
        ("http://127.0.0.1.example.org/v1", "not encrypted"),
        ("ftp://example.org", "expected an address such as"),
        ("example.org/v1", "expected an address such as"),
        ("https://host:port/v1", "expected an address such as"),
        ("https://me:secret@example.org/v1", "without a user, a password"),
        ("https://example.org/v1?key=secret", "without a user, a password"),
        ("https://example.org/v1?", "without a user, a password"),
        ("http://127.0.0.1\t.example.org/v1", "expected an address such as"),
        ("https://:443/v1", "expected an address such as"),
        (" https://example.org/v1", "expected an address such as"),
        ("https://example .org/v1", "expected an address such as"),
        ("https://example.org:99999/v1", "expected an address such as"),
        ("http://localhost%20/v1", "not encrypted"),
        ("http://localhost\\.example.org/v1", "not encrypted"),
    ],
)
def test_an_address_that_must_not_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(TableError, match=message) as raised:
        check_url(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/v1/",
        "https://xn--bcher-kva.example/v1",
        "http://localhost:8080/v1",
        "http://[::1]:80/v1",
        "http://127.0.0.9/v1",
    ],
)
def test_https_and_this_machine_may_be_used(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


def test_a_key_is_needed_but_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTHER_KEY", raising=False)
    with pytest.raises(TableError, match=r"OTHER_KEY is not set.*--key-env"):
        open_service("https://example.org/v1", "acme-small", key_env="OTHER_KEY")
    monkeypatch.setenv("OTHER_KEY", "two words")
    with pytest.raises(TableError, match="OTHER_KEY does not hold a key") as raised:
        open_service("https://example.org/v1", "acme-small", key_env="OTHER_KEY")
    assert "two words" not in str(raised.value)
    monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
    opened = open_service("https://example.org/v1", "acme-small", key_env="OTHER_KEY")
    opened.door.close()
    assert KEY not in repr(opened)


def certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that nobody knows, with its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return folder / "server.pem"


def test_a_certificate_that_nobody_trusts_is_refused_and_one_that_is_named_is_not(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    pem = certificate(tmp_path)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(pem)
    service.socket = secure.wrap_socket(service.socket, server_side=True)
    url = service.url.replace("http:", "https:")
    opened = open_service(url, "acme-small", clock=time.clock())
    with pytest.raises(TableError, match=r"certificate is not one that this machine trusts, or .*SSL_CERT_FILE"):
        opened.embed(TEXTS)
    opened.door.close()
    assert time.slept == []
    assert service.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    opened = open_service(url, "acme-small")
    assert opened.embed(TEXTS).shape == (3, 6)
    opened.door.close()


def test_a_build_goes_on_where_the_service_failed(service: Any, ask: Any, tmp_path: Path, time: Time) -> None:
    tokens = [Token(f"t{n}", f"finding {n}") for n in range(600)]
    service.script = [changed(lambda answer: None)] * 4 + [status(400)]
    with pytest.raises(TableError, match="status 400"):
        Build(ask(), "acme-small", tokens, tmp_path / "c").write(tmp_path / "t.safetensors")
    assert len(service.requests) == 5
    built = Build(ask(), "acme-small", tokens, tmp_path / "c").write(tmp_path / "t.safetensors")
    assert (built.texts, built.cached) == (600, 384)
    table = load_table(tmp_path / "t.safetensors")
    np.testing.assert_allclose(table.vectors[1:], [vector(token.text) for token in tokens], rtol=1e-6)
    np.testing.assert_allclose(table.probes, [vector(phrase) for phrase in PROBE_PHRASES], rtol=1e-6)
    assert (table.model, table.revision, table.pooling) == ("acme-small", "as served", "service")
    assert KEY.encode() not in (tmp_path / "t.safetensors").read_bytes()


def test_one_model_at_two_addresses_is_one_space_but_two_caches(service: Any, ask: Any, tmp_path: Path) -> None:
    one = ask().origin
    other = open_service(service.url.replace("127.0.0.1", "localhost"), "acme-small")
    other.door.close()
    assert one.word == other.origin.word == "service"
    assert one.to_json() != other.origin.to_json()
    assert ask(dimensions=4).origin.word == "service, 4 dimensions"
