"""A coordinator that demands a certificate of every site: a whole run with it, and nobody without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacking import authority, command_json, refusals, refused, speak, statuses, trusting, unharmed
from cryptography import x509
from deployment import SITES, Deployment, free_port, running, wait_for, weights

from client.home.keys import new_tls_key, signing_request
from server.coordinator.authority import new_authority, read_authority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CALL = b"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A coordinator with mutual TLS and two hospitals, up and connected through their sidecars."""
    with running(tmp_path_factory.mktemp("mutual"), "--mutual-tls") as made:
        yield made


def test_a_whole_run_through_the_sidecars(mutual: Deployment) -> None:
    for name in SITES:
        processes = (mutual.folder / name / "relay" / "processes.json").read_text()
        assert '"sidecar"' in processes
    federation = mutual.federation(name="mutual", directions=[{"sources": [SITES[0]], "targets": [SITES[1]]}])
    run = mutual.run(federation)
    assert mutual.finish() == 0, mutual.output("run")
    assert weights(run) == mutual.expected(federation)


def test_no_certificate(mutual: Deployment) -> None:
    with unharmed(mutual), refused(mutual, no_client_certificate=1):
        assert statuses(speak(mutual, CALL, trusting(authority(mutual)))) == [400]


def test_a_certificate_of_another_authority(mutual: Deployment, tmp_path: Path) -> None:
    """Another coordinator's, of the same name, for the name of a registered site."""
    pair, key = new_authority(f"localhost:{mutual.port}"), new_tls_key()
    for name, content in {"ca.pem": pair.certificate, "ca.key": pair.key, "tls.key": key}.items():
        (tmp_path / name).write_bytes(content)
    request = x509.load_pem_x509_csr(signing_request(key, SITES[0]).encode())
    signed = read_authority(tmp_path / "ca.pem", tmp_path / "ca.key").site(request, SITES[0])
    (tmp_path / "client.pem").write_bytes(signed)
    context = trusting(authority(mutual))
    context.load_cert_chain(tmp_path / "client.pem", tmp_path / "tls.key")
    with unharmed(mutual), refused(mutual, unknown_certificate=1):
        assert statuses(speak(mutual, CALL, context)) == [400]


def test_the_servers_own_certificate_is_no_sites(mutual: Deployment) -> None:
    """Of the right authority, but for servers: whoever copies it from the coordinator cannot use it as a site's."""
    context = trusting(authority(mutual))
    context.load_cert_chain(mutual.coordinator / "tls" / "server.pem", mutual.coordinator / "tls" / "server.key")
    with unharmed(mutual), refused(mutual, unknown_certificate=1):
        assert statuses(speak(mutual, CALL, context)) == [400]


def test_a_registered_key_without_a_certificate(mutual: Deployment) -> None:
    """A SuperNode with the site's own key that goes around the sidecar."""
    before, relay, log = refusals(mutual), mutual.folder / SITES[0] / "relay", mutual.folder / "around.out"
    command = [str(Path(sys.executable).parent / "flower-supernode"), "--superlink", f"localhost:{mutual.port}"]
    command += ["--root-certificates", str(authority(mutual)), "--port", str(free_port())]
    command += ["--auth-supernode-private-key", str(relay / "node.key")]
    with unharmed(mutual), log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=mutual.environment, cwd=mutual.folder)
        try:
            wait_for(lambda: refusals(mutual)["no-client-certificate"] > before["no-client-certificate"], "refused")
            wait_for(lambda: "Exit Code" in log.read_text(), "it gives up")
        finally:
            process.terminate()
            process.wait(60)
    sites = command_json(mutual, "coordinator", "sites", "--folder", mutual.coordinator)
    assert [site["connected"] for site in sites] == [True, True]  # those with their sidecars
