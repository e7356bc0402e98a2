"""Three hospitals whose coordinator sees sums alone: the bits of a simulation, whoever is killed in a round."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from deployment import Deployment, happened, running, wait_for, weights

from client.audit.chain import LOG, read_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # three sites on a busy machine

SITES = ("allegheny", "hill", "salt-lake")
SECURE: dict[str, Any] = {
    "directions": [{"sources": list(SITES)}],
    "strategies": ["direct"],
    "aggregation": {"secure": True},
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Three hospitals that know each other's identities, and let their updates out in sums with each other alone."""
    with running(tmp_path_factory.mktemp("three"), sites=SITES) as made:
        known = {name: identity(made, name) for name in SITES}
        for name in SITES:
            path = made.folder / name / "site.toml"
            peers = ", ".join(f'{other} = "{print_}"' for other, print_ in known.items() if other != name)
            policy = f'[policy]\nsecure = "require"\npeers = {{ {peers} }}'
            path.write_text(path.read_text().replace("[policy]", policy))
        yield made


def identity(deployment: Deployment, name: str) -> str:
    """Give the fingerprint that the site's people read, and tell the others'."""

    def shown() -> str:
        folder = deployment.folder / name
        return str(
            json.loads(deployment.sitebridge("site", "status", "--json", "--folder", folder))["agent"]["identity"]
        )

    return str(wait_for(lambda: shown() != "None" and shown(), f"the identity of {name}"))


def said(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    """Give the lines of a site's audit log."""
    return [line.record for line in read_lines(deployment.folder / name / "agent" / LOG) if line.record]


def kill_agent(deployment: Deployment) -> None:
    folder = deployment.folder / "hill" / "agent"
    before = deployment.restarts(folder, "agent")
    os.kill(deployment.pid(folder, "agent"), signal.SIGKILL)
    wait_for(lambda: deployment.restarts(folder, "agent") > before, "the agent starts again")


def kill_site(deployment: Deployment) -> None:
    deployment.end("hill", signal.SIGKILL)
    deployment.site_up("hill")


def test_a_plain_round_is_refused_by_name(three: Deployment) -> None:
    federation = three.federation(name="plain", **SECURE | {"aggregation": {}})
    three.run(federation)
    assert three.finish() == 1
    assert "the site's policy lets updates out in a secure sum only, and the federation has none" in three.output("run")


@pytest.mark.parametrize("kill", [None, kill_agent, kill_site])
def test_a_secure_run_gives_the_bits_of_a_simulated_one(
    three: Deployment, kill: Callable[[Deployment], None] | None
) -> None:
    """Killed once its update has left its agent, a site that is back answers the same and gives its shares."""
    federation = three.federation(name="secure", **SECURE)
    before = len(said(three, "hill"))
    run = three.run(federation)
    if kill is not None:
        wait_for(lambda: happened(run, "step", "round 1"), "round 1")
        begun = len(said(three, "hill"))
        wait_for(lambda: masked(said(three, "hill")[begun:]), "hill has masked an update of round 2")
        kill(three)
    assert three.finish() == 0, three.output("run")
    assert weights(run) == three.expected(federation)
    crossed = pd.read_csv(run / "exchange.csv", keep_default_na=False)
    assert set(crossed[(crossed["phase"] == "source") & (crossed["direction"] == "back")]["arrays"]) <= {"masked", ""}
    sums = [line for line in said(three, "hill")[before:] if line.get("secure")]
    assert {line["secure"] for line in sums} == {"mask", "open"}
    assert all(set(line["peers"]) == set(SITES) for line in sums)
    three.sitebridge("site", "audit", "verify", "--folder", three.folder / "hill")


def masked(lines: list[dict[str, Any]]) -> bool:
    """Whether a masked update has left."""
    return any(line.get("secure") == "mask" and line.get("direction") == "out" for line in lines)
