"""Every service of every compose file is as hardened as deploy/README.md promises, and the demo's as a hospital's."""

from __future__ import annotations

from typing import Any

import pytest
from containers import SITES, compose_file

HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp:size=256m,mode=1777"],
}
KNOWN = HARDENED.keys() | {
    "image",
    "build",
    "user",
    "command",
    "entrypoint",
    "restart",
    "stop_grace_period",
    "pids_limit",
}
KNOWN |= {"volumes", "networks", "network_mode", "ports", "healthcheck", "profiles"}
FILES = ("coordinator", "hospital", "demo")
SERVICES = [(name, service) for name in FILES for service in compose_file(name)["services"]]


def service(name: str, which: str) -> dict[str, Any]:
    found = compose_file(name)["services"][which]
    assert isinstance(found, dict)
    return found


def mounts(content: dict[str, Any]) -> dict[str, str]:
    """Where each volume is mounted, and how: "rw" or "ro"."""
    split = [volume.rpartition("}")[2].split(":")[-3:] for volume in content["volumes"]]
    return {parts[1]: (parts[2] if len(parts) == 3 else "rw") for parts in split}


@pytest.mark.parametrize(("name", "which"), SERVICES)
def test_a_service_is_hardened(name: str, which: str) -> None:
    content = service(name, which)
    assert {key: content.get(key) for key in HARDENED} == HARDENED
    once = content.get("profiles") == ["setup"]
    assert content.keys() <= KNOWN | ({"cap_add"} if once else set())
    if once:
        assert content["network_mode"] == "none"
        assert set(content["cap_add"]) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER"}
    else:
        assert content.get("user") != "root"
        assert content["restart"] == "unless-stopped"
        assert "pids_limit" in content
        assert "healthcheck" in content


def test_the_agent_has_no_network_and_reads_the_data_alone() -> None:
    agent, relay = service("hospital", "agent"), service("hospital", "relay")
    assert agent["network_mode"] == "none"
    assert {place for place, how in mounts(agent).items() if how == "rw"} == {"/site/agent", "/site/run"}
    assert mounts(relay) == {"/site/relay": "rw", "/site/run": "ro", "/inbox": "ro"}
    assert {"/data", "/tables", "/site/site.toml"} <= mounts(agent).keys()
    assert "ports" not in relay
    assert agent["user"] != relay["user"]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("half", ["relay", "agent"])
def test_the_demo_is_as_hardened_as_a_hospital(site: str, half: str) -> None:
    ours, theirs = service("demo", f"{site}-{half}"), service("hospital", half)
    same = ("user", "command", "network_mode", "pids_limit", "restart", "stop_grace_period", *HARDENED)
    assert {key: ours.get(key) for key in same} == {key: theirs.get(key) for key in same}
    places = {"/data" if place.startswith("/data/") else place for place in mounts(ours)}
    assert places == mounts(theirs).keys() - {"/tables"}


def test_each_hospital_of_the_demo_has_a_private_network_of_its_own() -> None:
    content = compose_file("demo")
    assert content["networks"] == {site: {"internal": True} for site in SITES}
    for site in SITES:
        assert content["services"][f"{site}-relay"]["networks"] == [site]
    assert not [name for name, each in content["services"].items() if "ports" in each]


def test_the_coordinator_opens_one_port() -> None:
    assert len(service("coordinator", "coordinator")["ports"]) == 1
