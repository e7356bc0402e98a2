"""Addresses, and the proxy that the environment names."""

from __future__ import annotations

import base64

import pytest

from client.home.dial import proxy_of, split


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("coordinator.example:8443", ("coordinator.example", 8443)),
        ("10.0.0.1:443", ("10.0.0.1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split(address) == parts


@pytest.mark.parametrize("address", ["", "host", ":1", "host:0", "host:x", "2001:db8::1:8443", "-o:1", "a/b:1", "a:1 "])
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        split(address)


def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_of("far.example") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://me:p%40ss@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "near.example")
    found = proxy_of("far.example")
    assert found is not None
    assert (found.host, found.port, str(found)) == ("proxy.example", 3128, "proxy.example:3128")
    assert base64.b64decode(found.authorization.removeprefix("Basic ")) == b"me:p@ss"
    assert proxy_of("near.example") is None
