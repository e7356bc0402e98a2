"""What the attacks share: words of any kind to the port, Flower's calls with any key, and what was written down."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deployment import Deployment, wait_for
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.home.keys import read_node_key
from server.coordinator.folder import Folder
from server.coordinator.refusals import read_refusals

_SECONDS = 30.0


def trusting(ca: Path) -> ssl.SSLContext:
    """Trust one authority, as a site does."""
    return ssl.create_default_context(cafile=str(ca))


def authority(deployment: Deployment) -> Path:
    """Give the coordinator's authority."""
    return deployment.coordinator / "ca" / "ca.pem"


def speak(deployment: Deployment, said: bytes, context: ssl.SSLContext | None) -> bytes:
    """Say something to the port, by TLS or in plain text; give all that is answered until the port hangs up."""
    answered = b""
    connection = socket.create_connection(("localhost", deployment.port), timeout=_SECONDS)
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname="localhost")
    with connection:
        connection.sendall(said)
        with suppress(ConnectionError, ssl.SSLError):  # however it hangs up; but not that it never does
            while block := connection.recv(65_536):
                answered += block
    return answered


def statuses(answered: bytes) -> list[int]:
    """Give the status of every HTTP answer in some bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


@contextmanager
def fleet(deployment: Deployment, key: Path) -> Iterator[tuple[FleetHttpClient, bytes]]:
    """Give Flower's client for calls of sites, which signs with a key; and its public half."""
    private = read_node_key(key.read_bytes())
    signing = NodeAuthHttpInterceptor(private, private.public_key())
    address, ca = f"localhost:{deployment.port}", authority(deployment).read_bytes()
    client = FleetHttpClient.from_server_address(address, False, ca, [signing])
    try:
        yield client, public_key_to_bytes(private.public_key())
    finally:
        client.close()


def refusals(deployment: Deployment) -> Counter[str]:
    """Count the coordinator's refusals by kind."""
    return Counter(refusal.kind for refusal in read_refusals(Folder(deployment.coordinator)))


@contextmanager
def refused(deployment: Deployment, **kinds: int) -> Iterator[None]:
    """Demand that what is done meanwhile is refused so often, by kind, and that `coordinator status` says so."""
    wanted = Counter({kind.replace("_", "-"): count for kind, count in kinds.items()})
    before = refusals(deployment)
    yield
    wait_for(lambda: sum((refusals(deployment) - before).values()) >= wanted.total(), f"refusals: {wanted}", 30)
    assert refusals(deployment) - before == wanted
    status = command_json(deployment, "coordinator", "status", "--folder", deployment.coordinator)
    assert status["refusals"] == dict(refusals(deployment))


@contextmanager
def unharmed(deployment: Deployment) -> Iterator[None]:
    """Demand that no server of the coordinator and no program of a site ends meanwhile."""
    before = programs(deployment)
    yield
    assert programs(deployment) == before


def programs(deployment: Deployment) -> dict[str, tuple[int, int]]:
    """Give process and restarts of all that is supervised."""
    found = {}
    for path in sorted(deployment.folder.glob("*/*/processes.json")):
        for name, state in json.loads(path.read_text()).items():
            found[f"{path.parent.relative_to(deployment.folder)}/{name}"] = (state["pid"], state["restarts"])
    return found


def command_json(deployment: Deployment, *words: str | Path) -> Any:
    """Give what a command prints with ``--json``."""
    return json.loads(deployment.sitebridge(*words, "--json"))


def flower_log(deployment: Deployment) -> str:
    """Give what the SuperLink has logged: every call that reached it is there."""
    return (deployment.coordinator / "state" / "superlink.log").read_text()
