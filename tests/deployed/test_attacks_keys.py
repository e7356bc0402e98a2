"""Attacks by those who have no key, a key that was taken away, or a key of their own and another's name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli_w
from attacking import authority, command_json, fleet, flower_log, refusals, refused, unharmed
from deployment import CONTENT, SITES, Deployment, free_port, wait_for
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    PullMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

from client.home.keys import new_node_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

IMPOSTOR = "impostor"


def registered(deployment: Deployment) -> dict[str, dict[str, Any]]:
    shown = command_json(deployment, "coordinator", "sites", "--folder", deployment.coordinator)
    return {site["name"]: site for site in shown}


def status_of(call: Callable[[], object]) -> int:
    """Give the status with which a call is refused."""
    with pytest.raises(httpx.HTTPStatusError) as error:
        call()
    return error.value.response.status_code


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A node key that nobody registered."""
    path = tmp_path / "node.key"
    path.write_bytes(new_node_key()[0])
    path.chmod(0o600)
    return path


def test_a_real_supernode_with_a_key_that_nobody_registered(deployment: Deployment, stranger: Path) -> None:
    before, sites, log = refusals(deployment), registered(deployment), stranger.with_suffix(".out")
    command = [str(Path(sys.executable).parent / "flower-supernode"), "--superlink", f"localhost:{deployment.port}"]
    command += ["--root-certificates", str(authority(deployment)), "--port", str(free_port())]
    command += ["--auth-supernode-private-key", str(stranger)]
    with unharmed(deployment), log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=deployment.environment, cwd=stranger.parent)
        try:
            wait_for(lambda: "Failed to activate SuperNode" in log.read_text(), "the key is refused")
        finally:
            process.terminate()
            process.wait(60)
    assert set(refusals(deployment) - before) == {"turned-away"}
    assert registered(deployment).keys() == sites.keys()


def test_a_stranger_cannot_let_itself_in(deployment: Deployment, stranger: Path) -> None:
    calling, counted = fleet(deployment, stranger), refused(deployment, turned_away=2, unauthenticated=1)
    with unharmed(deployment), counted, calling as (client, public):
        assert status_of(lambda: client.RegisterNode(RegisterNodeFleetRequest(public_key=public))) == 412
        assert status_of(lambda: client.ActivateNode(ActivateNodeRequest(public_key=public))) == 412
        assert status_of(lambda: client.PullMessages(PullMessagesRequest(node=Node(node_id=1)))) == 401
    assert registered(deployment).keys() == set(SITES)


def test_a_registered_key_opens_no_other_sites_door(deployment: Deployment) -> None:
    calling = fleet(deployment, deployment.folder / SITES[0] / "relay" / "node.key")
    other = int(registered(deployment)[SITES[1]]["node"])
    with unharmed(deployment), refused(deployment, unauthenticated=2), calling as (client, _):
        assert status_of(lambda: client.PullMessages(PullMessagesRequest(node=Node(node_id=other)))) == 401
        assert status_of(lambda: client.UnregisterNode(UnregisterNodeFleetRequest(node_id=other))) == 401


def acquire(address: str, ca: bytes | None, secret: bytes | None) -> object:
    """Ask for a task, as Flower's SuperExec does."""
    signing: list[Any] = [RuntimeVersionHttpInterceptor(component_name="SuperExec")]
    if secret is not None:
        method = "/flwr.proto.Runtime/AcquireTask"
        signing.append(SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=[method]))
    client = RuntimeHttpClient.from_server_address(address, ca is None, ca, signing)
    try:
        return client.AcquireTask(AcquireTaskRequest(supported_task_types=["flwr-serverapp", "flwr-clientapp"]))
    finally:
        client.close()


def test_a_rogue_superexec_is_given_no_task(deployment: Deployment) -> None:
    relay = deployment.folder / SITES[0] / "relay"
    pid = json.loads((relay / "processes.json").read_text())["supernode"]["pid"]
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    at_site = f"127.0.0.1:{command[command.index('--port') + 1]}"
    at_coordinator = f"127.0.0.1:{deployment.control}"
    doors = [
        (at_coordinator, authority(deployment).read_bytes(), deployment.coordinator / "secret" / "superexec"),
        (at_site, None, relay / "superexec.secret"),
    ]
    with unharmed(deployment):
        for address, ca, secret in doors:
            for wrong in (None, b"x" * 32, secret.read_bytes()[::-1]):
                assert status_of(lambda: acquire(address, ca, wrong)) == 401  # noqa: B023 -- called at once
            acquire(address, ca, secret.read_bytes())  # the right one opens it
    for log in (flower_log(deployment), (relay / "supernode.log").read_text()):
        assert "SuperExec authentication failed" in log


@pytest.fixture
def impostor(deployment: Deployment) -> Iterator[Path]:
    """A third hospital, registered under its own name, whose site file says another's."""
    hospitals = deployment.folder / "hospitals"
    shutil.copy(hospitals / "salt-lake.csv", hospitals / f"{IMPOSTOR}.csv")
    own = (hospitals / "salt-lake.toml").read_text().replace('"salt-lake.csv"', f'"{IMPOSTOR}.csv"')
    (hospitals / f"{IMPOSTOR}.toml").write_text(own)
    deployment.join(IMPOSTOR)
    site_file = deployment.folder / IMPOSTOR / "site.toml"
    site_file.write_text(site_file.read_text().replace("approval = true\n", ""))
    deployment.site_up(IMPOSTOR)
    yield deployment.folder / IMPOSTOR
    deployment.end(IMPOSTOR)
    if IMPOSTOR in registered(deployment):
        deployment.sitebridge("coordinator", "remove", IMPOSTOR, "--folder", deployment.coordinator)
    shutil.rmtree(deployment.folder / IMPOSTOR)


def test_a_site_that_answers_for_another_and_then_is_removed(deployment: Deployment, impostor: Path) -> None:
    sites = {name: {} for name in (*SITES, IMPOSTOR)}
    path = deployment.folder / "three.toml"
    path.write_text(tomli_w.dumps({**CONTENT, "name": "three", "failures": {"retries": 0}, "sites": sites}))
    for name in SITES:
        deployment.sitebridge("site", "approve", path, "--by", "a test", "--folder", deployment.folder / name)
    deployment.run(path)
    assert deployment.finish() == 1
    assert f"the node registered as '{IMPOSTOR}' answers as 'salt-lake'" in deployment.output("run")

    before = refusals(deployment)["unauthenticated"]  # while it is connected; a new start is turned away
    deployment.sitebridge("coordinator", "remove", IMPOSTOR, "--folder", deployment.coordinator)
    wait_for(lambda: refusals(deployment)["unauthenticated"] > before, "the removed site's relay is refused")
    assert registered(deployment).keys() == set(SITES)
    said = deployment.sitebridge("coordinator", "run", path, "--folder", deployment.coordinator, check=False)
    assert f"{IMPOSTOR} is not registered" in said
    assert not command_json(deployment, "site", "status", "--folder", impostor)["connected"]
