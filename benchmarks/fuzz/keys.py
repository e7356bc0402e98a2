"""A site's folder and what its coordinator would send it, made once a process."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509

from client.home.init import initialise
from client.home.layout import Home
from server.coordinator.authority import Authority, new_authority, read_authority


@cache
def home() -> Home:
    """Make a site's folder, with keys."""
    return initialise(Path(tempfile.mkdtemp(prefix="fuzz-site-")) / "hill", "hill")


def join_request() -> bytes:
    """Give what the site sends to join."""
    return home().request("hill").read_bytes()


@cache
def welcome() -> bytes:
    """Give what the coordinator sends back."""
    request = x509.load_pem_x509_csr(json.loads(join_request())["certificate_request"].encode())
    ca, key = home().path / "ca.pem", home().path / "ca.key"
    pair = new_authority("127.0.0.1")
    ca.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    authority: Authority = read_authority(ca, key)
    said = {"name": "hill", "address": "127.0.0.1:8000", "mutual_tls": True, "ca": ca.read_text()}
    return json.dumps(said | {"certificate": authority.site(request, "hill").decode()}).encode()
