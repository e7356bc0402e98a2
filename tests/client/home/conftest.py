"""A site's folder, and what its coordinator sends back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from client.home.init import initialise
from client.home.layout import Home
from server.coordinator.authority import Authority, new_authority, read_authority


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A site that has not joined."""
    return initialise(tmp_path / "site", "hill")


@pytest.fixture(scope="session")
def make_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Authority]:
    """Make a coordinator's authority."""

    def make(name: str) -> Authority:
        folder, pair = tmp_path_factory.mktemp("ca"), new_authority(name)
        (folder / "ca.pem").write_bytes(pair.certificate)
        (folder / "ca.key").write_bytes(pair.key)
        return read_authority(folder / "ca.pem", folder / "ca.key")

    return make


@pytest.fixture
def authority(make_authority: Callable[[str], Authority]) -> Authority:
    return make_authority("coordinator")


@pytest.fixture
def welcome(home: Home, authority: Authority, tmp_path: Path) -> Callable[..., Path]:
    """Write the welcome file for the site, with some keys replaced."""

    def write(**changes: Any) -> Path:
        request = json.loads(home.request("hill").read_text())
        csr = x509.load_pem_x509_csr(request["certificate_request"].encode())
        content = {
            "name": "hill",
            "address": "coordinator.example:8443",
            "mutual_tls": False,
            "ca": authority.certificate.public_bytes(Encoding.PEM).decode(),
            "certificate": authority.site(csr, "hill").decode(),
        }
        path = tmp_path / "hill.welcome.json"
        path.write_text(json.dumps(content | changes))
        return path

    return write
