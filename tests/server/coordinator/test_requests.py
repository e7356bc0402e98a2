"""A site's request file comes from outside: every field is checked, and all that is wrong is said at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from common.errors import ConfigError
from server.coordinator.requests import read_request

Ask = Callable[..., Path]
OPENSSH, SSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH


def changed(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_a_good_request(ask_to_join: Ask, tmp_path: Path) -> None:
    path = ask_to_join(tmp_path, "st-anna")
    request = read_request(changed(path, node_key=json.loads(path.read_text())["node_key"] + " it@st-anna"), "st-anna")
    assert (request.name, request.version) == ("st-anna", "0.1.0")
    assert len(request.node_key.split()) == 2
    assert request.fingerprint.startswith("SHA256:")


def test_a_request_of_another_site(ask_to_join: Ask, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the site calls itself 'st-anna', not 'st-otto'"):
        read_request(ask_to_join(tmp_path, "st-anna"), "st-otto")
    with pytest.raises(ConfigError, match="'pooled' is what all sites together are called"):
        read_request(ask_to_join(tmp_path, "pooled"), "pooled")


def test_a_key_on_another_curve(ask_to_join: Ask, tmp_path: Path) -> None:
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        text = key.public_key().public_bytes(OPENSSH, SSH).decode()
        with pytest.raises(ConfigError, match="node_key: expected a key on curve P-384"):
            read_request(ask_to_join(tmp_path, "st-anna", node_key=text), "st-anna")


def test_a_certificate_request_for_somebody_else(ask_to_join: Ask, tmp_path: Path) -> None:
    other = json.loads(ask_to_join(tmp_path, "st-otto").read_text())["certificate_request"]
    with pytest.raises(ConfigError, match="it is for 'st-otto', not for 'st-anna'"):
        read_request(ask_to_join(tmp_path, "st-anna", certificate_request=other), "st-anna")


def test_a_certificate_request_that_was_tampered_with(ask_to_join: Ask, tmp_path: Path) -> None:
    from cryptography import x509

    path = ask_to_join(tmp_path, "st-anna")
    request = x509.load_pem_x509_csr(json.loads(path.read_text())["certificate_request"].encode())
    content = bytearray(request.public_bytes(serialization.Encoding.DER))
    content[-1] ^= 1  # the end of the signature
    tampered = x509.load_der_x509_csr(bytes(content)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(ConfigError, match="its signature is not by its own key"):
        read_request(changed(path, certificate_request=tampered), "st-anna")


def test_everything_wrong_is_said_at_once(ask_to_join: Ask, tmp_path: Path) -> None:
    path = ask_to_join(tmp_path, "st-anna", node_key="ssh-rsa AAAA", certificate_request="no")
    with pytest.raises(ConfigError, match="3 problems"):
        read_request(path, "st-otto")


@pytest.mark.parametrize("text", ["", "[]", "[" * 60_000, '{"name": "st-anna"}', "\x00", "{" + " " * 70_000 + "}"])
def test_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.request.json").write_text(text)
    with pytest.raises(ConfigError):
        read_request(tmp_path / "x.request.json", "st-anna")
    with pytest.raises(ConfigError, match="no such file"):
        read_request(tmp_path / "none.json", "st-anna")


def test_a_field_that_nobody_expects(ask_to_join: Ask, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key comand"):
        read_request(changed(ask_to_join(tmp_path, "st-anna"), comand="x"), "st-anna")
