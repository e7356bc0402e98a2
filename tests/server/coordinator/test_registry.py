"""Sites are let in once, under one name, with one key; the SuperLink is a stand-in here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ConfigError
from server.coordinator import registry
from server.coordinator.flower import NotUpError
from server.coordinator.folder import Folder
from server.coordinator.registry import Presence, presence, register, registered, remove
from server.coordinator.requests import JoinRequest, read_request

Ask = Callable[..., Path]


class StandIn:
    """What the register asks of Flower."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.known: dict[str, dict[str, str]] = {}
        self.up = True

    def register(self, key: Path, name: str) -> str:
        self.calls.append(("register", key.read_text().split()[0], name))
        return str(len(self.calls))

    def unregister(self, node: str) -> None:
        self.calls.append(("unregister", node))

    def nodes(self) -> dict[str, dict[str, str]]:
        if not self.up:
            raise NotUpError("not up")
        return self.known


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(registry, "Flower", lambda folder: stand_in)
    return stand_in


@pytest.fixture
def request_of(ask_to_join: Ask, tmp_path: Path) -> Callable[[str], JoinRequest]:
    return lambda name: read_request(ask_to_join(tmp_path, name), name)


def test_a_site_is_let_in(
    folder: Folder, flower: StandIn, request_of: Callable[[str], JoinRequest], tmp_path: Path
) -> None:
    request = request_of("st-anna")
    site = register(folder, request, tmp_path / "st-anna.welcome.json")
    assert flower.calls == [("register", "ecdsa-sha2-nistp384", "st-anna")]
    assert registered(folder) == {"st-anna": site}
    welcome = json.loads((tmp_path / "st-anna.welcome.json").read_text())
    assert welcome.keys() == {"name", "address", "mutual_tls", "ca", "certificate"}
    assert welcome["ca"] == folder.ca.read_text()
    assert "PRIVATE" not in json.dumps(welcome)


def test_a_name_or_a_key_is_let_in_once(
    folder: Folder, flower: StandIn, request_of: Callable[[str], JoinRequest], tmp_path: Path
) -> None:
    first = request_of("st-anna")
    register(folder, first, tmp_path / "w.json")
    with pytest.raises(ConfigError, match=r"the name is registered already.* coordinator remove st-anna"):
        register(folder, request_of("st-anna"), tmp_path / "w.json")
    stolen = JoinRequest("st-otto", first.version, first.node_key, first.certificate)
    with pytest.raises(ConfigError, match="this node key is registered already, as st-anna"):
        register(folder, stolen, tmp_path / "w.json")
    assert len(flower.calls) == 1


def test_a_removed_site_needs_a_new_key(
    folder: Folder, flower: StandIn, request_of: Callable[[str], JoinRequest], tmp_path: Path
) -> None:
    first = request_of("st-anna")
    node = register(folder, first, tmp_path / "w.json").node
    remove(folder, "st-anna")
    assert flower.calls[-1] == ("unregister", node)
    assert registered(folder) == {}
    with pytest.raises(ConfigError, match=r"was removed .* and stays out; the site needs a new one"):
        register(folder, first, tmp_path / "w.json")
    register(folder, request_of("st-anna"), tmp_path / "w.json")
    with pytest.raises(ConfigError, match="st-otto: not registered; registered are: st-anna"):
        remove(folder, "st-otto")


def test_without_the_authoritys_key_flower_is_not_asked(
    folder: Folder, flower: StandIn, request_of: Callable[[str], JoinRequest], tmp_path: Path
) -> None:
    folder.ca_key.unlink()
    with pytest.raises(ConfigError, match="the authority's key is not here"):
        register(folder, request_of("st-anna"), tmp_path / "w.json")
    assert flower.calls == []
    assert registered(folder) == {}


def test_who_is_there(
    folder: Folder, flower: StandIn, request_of: Callable[[str], JoinRequest], tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        register(folder, request_of(name), tmp_path / "w.json")
    flower.known = {
        "1": {"status": "online", "offline-at": "N/A"},
        "2": {"status": "offline", "offline-at": "2026-11-22 17:00:00Z"},
        "3": {"status": "registered", "offline-at": "N/A"},
    }
    there = presence(folder, registered(folder))
    assert there["a"].connected
    assert there["b"] == Presence(False, "2026-11-22 17:00:00Z")
    assert there["c"] == Presence(False)
    flower.up = False
    assert presence(folder, registered(folder))["a"] == Presence(None)
