"""A welcome file is believed when all of it fits, and kept only then."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from client.home.init import initialise
from client.home.join import join, read_welcome
from client.home.layout import Home, home_of
from common.errors import ConfigError
from server.coordinator.authority import Authority, fingerprint

Write = Callable[..., Path]


def fail(home: Home, path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        join(home, path)
    assert not home.welcome.exists()
    assert not home.ca.exists()
    return str(caught.value)


def test_all_of_it_is_kept(home: Home, welcome: Write, authority: Authority) -> None:
    found, mark = join(home, welcome())
    pem = authority.certificate.public_bytes(Encoding.PEM)
    assert mark == fingerprint(pem)  # as `coordinator register` prints it
    assert len(mark.split(":")) == 32
    assert home.ca.read_bytes() == pem
    assert read_welcome(home) == found
    done = subprocess.run(["openssl", "verify", "-CAfile", str(home.ca), str(home.certificate)], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_joining_twice_takes_the_newer_file(home: Home, welcome: Write) -> None:
    join(home, welcome())
    assert join(home, welcome(address="10.0.0.1:443", mutual_tls=True))[0].mutual_tls
    found = read_welcome(home)
    assert found is not None
    assert found.address == "10.0.0.1:443"


def test_another_site_s_welcome(home: Home, welcome: Write, tmp_path: Path) -> None:
    other = initialise(tmp_path / "other", "dale")
    text = fail(other, welcome())
    assert "is for 'hill', this site is 'dale'" in text
    assert "for another key than relay/tls.key" in text


@pytest.mark.parametrize("change", [str.lower, lambda mark: mark.replace(":", " "), lambda mark: mark.replace(":", "")])
def test_the_fingerprint_told_by_telephone_however_it_is_written(
    home: Home, welcome: Write, change: Callable[[str], str]
) -> None:
    mark = join(home, welcome())[1]
    assert join(home, welcome(), change(mark))[1] == mark


def test_a_welcome_that_was_changed_on_its_way(home: Home, welcome: Write, authority: Authority) -> None:
    mark = fingerprint(authority.certificate.public_bytes(Encoding.PEM))
    for told in (mark[:-1] + ("0" if mark[-1] != "0" else "1"), mark[:47], ""):
        with pytest.raises(ConfigError, match=rf"its SHA-256 is {mark}, not the one that you were told"):
            join(home, welcome(), told)
        assert not home.ca.exists()


def test_a_certificate_of_another_name(home: Home, welcome: Write) -> None:
    assert "certificate: of 'hill'; expected 'dale'" in fail(home, welcome(name="dale"))


def test_a_certificate_that_the_authority_did_not_sign(
    home: Home, welcome: Write, make_authority: Callable[[str], Authority]
) -> None:
    other = make_authority("another").certificate.public_bytes(Encoding.PEM).decode()
    assert "certificate: not signed by the authority" in fail(home, welcome(ca=other))


def test_an_authority_that_is_none(home: Home, welcome: Write, authority: Authority) -> None:
    leaf = authority.server(["coordinator.example"]).certificate.decode()
    assert "ca: not the certificate of an authority" in fail(home, welcome(ca=leaf))


def test_a_certificate_that_ended(home: Home, welcome: Write, authority: Authority, monkeypatch) -> None:
    from server.coordinator import authority as module

    monkeypatch.setattr(module, "_LEAF", timedelta(hours=-1))
    assert "certificate: ended on" in fail(home, welcome())


def test_another_authority_than_before(home: Home, welcome: Write, make_authority: Callable[[str], Authority]) -> None:
    join(home, welcome())
    before = home.ca.read_bytes()
    other = make_authority("coordinator").certificate.public_bytes(Encoding.PEM).decode()
    with pytest.raises(ConfigError, match="another authority than the one that this site joined"):
        join(home, welcome(ca=other))
    assert home.ca.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"address": "coordinator.example"}, "address: 'coordinator.example' is not an address"),
        ({"address": "--insecure:1"}, "address: '--insecure:1' is not an address"),
        ({"address": "a b:1"}, "is not an address"),
        ({"address": "host:99999"}, "is not an address"),
        ({"mutual_tls": "yes"}, "mutual_tls should be a valid boolean"),
        ({"ca": "nonsense"}, "ca: expected one certificate in PEM"),
        ({"certificate": ""}, "certificate: expected one certificate in PEM"),
        ({"more": 1}, "unknown key more"),
    ],
)
def test_broken(changes: dict[str, object], words: str, home: Home, welcome: Write) -> None:
    assert words in fail(home, welcome(**changes))


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, json.dumps({"ca": "x" * 300_000})])
def test_no_welcome_at_all(content: str, home: Home, tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(content)
    assert "expected a JSON object" in fail(home, tmp_path / "w.json")


def test_a_folder_that_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a site's folder"):
        home_of(tmp_path)


@pytest.mark.parametrize("half", ["relay", "agent"])
def test_a_container_may_see_one_half_alone(half: str, tmp_path: Path) -> None:
    (tmp_path / half).mkdir()
    assert home_of(tmp_path).path == tmp_path
