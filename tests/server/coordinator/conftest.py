"""A coordinator's folder, and what a hospital would send it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.coordinator.folder import Folder
from server.coordinator.settings import Settings
from server.coordinator.setup import initialise

OPENSSH, PEM = serialization.Encoding.OpenSSH, serialization.Encoding.PEM


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Give ports that nobody listens on."""
    return _free_port


@pytest.fixture(scope="session")
def make_folder() -> Callable[..., Folder]:
    """Make a coordinator's folder on free ports of loopback, with some settings replaced."""

    def make(path: Path, **changes: Any) -> Folder:
        address = f"127.0.0.1:{_free_port()}"
        given = {"address": address, "listen": address, "control_port": _free_port(), **changes}
        return initialise(path, Settings.model_validate(given))

    return make


@pytest.fixture
def folder(tmp_path: Path, make_folder: Callable[..., Folder]) -> Folder:
    """A coordinator's folder on free ports of loopback."""
    return make_folder(tmp_path / "coordinator")


def private_key(key: ec.EllipticCurvePrivateKey, style: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(PEM, style, serialization.NoEncryption())


def request_content(name: str, key: ec.EllipticCurvePrivateKey, signing: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(signing, hashes.SHA384())
    node_key = key.public_key().public_bytes(OPENSSH, serialization.PublicFormat.OpenSSH).decode()
    return {
        "name": name,
        "version": "0.1.0",
        "node_key": node_key,
        "certificate_request": request.public_bytes(PEM).decode(),
    }


@pytest.fixture(scope="session")
def ask_to_join() -> Callable[..., Path]:
    """Write a site's request file into a folder, with some fields replaced; its keys lie beside it."""

    def write(folder: Path, name: str, **changes: str) -> Path:
        key, signing = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
        (folder / f"{name}.key").write_bytes(private_key(key, serialization.PrivateFormat.OpenSSH))
        (folder / f"{name}.tls.key").write_bytes(private_key(signing, serialization.PrivateFormat.PKCS8))
        path = folder / f"{name}.request.json"
        path.write_text(json.dumps(request_content(name, key, signing) | changes))
        return path

    return write
