"""Whatever dies and whenever: a run ends with the bits of an undisturbed one, or stops by name and can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deployment import Deployment, free_port, happened, wait_for, weights

pytestmark = pytest.mark.slow

LONG = {"rounds": 3, "epochs": 60, "batches": "all"}  # seconds a round, so that a site dies while it trains
KEEP_ALIVE = 75  # seconds; Flower gives a node up after about 50 without a sign of life
ONE_SOURCE = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]


def audit_lines(deployment: Deployment, name: str) -> int:
    return (deployment.folder / name / "agent" / "audit.jsonl").read_text().count("\n")


def until_it_trains(deployment: Deployment, run: Path, name: str) -> None:
    """Wait until round 1 is over and the site has received the next task."""
    wait_for(lambda: happened(run, "step", "round 1"), "round 1")
    lines = audit_lines(deployment, name)
    wait_for(lambda: audit_lines(deployment, name) > lines, f"{name} has the next task")


def same_bits(deployment: Deployment, federation: Path, run: Path) -> None:
    assert weights(run) == deployment.expected(federation)


def kill_agent(deployment: Deployment) -> None:
    os.kill(deployment.pid(deployment.folder / "allegheny" / "agent", "agent"), signal.SIGKILL)


def kill_relay(deployment: Deployment) -> None:
    os.kill(deployment.pid(deployment.folder / "allegheny" / "relay", "supernode"), signal.SIGKILL)


def kill_executor(deployment: Deployment) -> None:
    os.kill(deployment.pid(deployment.folder / "allegheny" / "relay", "superexec"), signal.SIGKILL)


def kill_site(deployment: Deployment) -> None:
    deployment.end("allegheny", signal.SIGKILL)
    deployment.site_up("allegheny")


@pytest.mark.parametrize("kill", [kill_agent, kill_relay, kill_executor, kill_site])
def test_a_site_killed_while_it_trains(deployment: Deployment, kill: Callable[[Deployment], None]) -> None:
    federation = deployment.federation(name="killed", training=LONG, directions=ONE_SOURCE, strategies=["linear"])
    run = deployment.run(federation)
    until_it_trains(deployment, run, "allegheny")
    kill(deployment)
    assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)
    deployment.sitebridge("site", "audit", "verify", "--folder", deployment.folder / "allegheny")


@pytest.mark.parametrize("program", ["superlink", "superexec", "proxy"])
def test_a_server_of_the_coordinator_killed_during_a_round(deployment: Deployment, program: str) -> None:
    federation = deployment.federation(name="server", training=LONG, directions=ONE_SOURCE, strategies=["linear"])
    run = deployment.run(federation)
    until_it_trains(deployment, run, "allegheny")
    os.kill(deployment.pid(deployment.coordinator / "state", program), signal.SIGKILL)
    if deployment.finish() != 0:
        assert f"resume with: sitebridge coordinator resume {run.name}" in deployment.output("run")
        deployment.resume(run)
        assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


def test_the_whole_coordinator_killed_during_a_round(deployment: Deployment) -> None:
    federation = deployment.federation(name="coordinator", training=LONG, directions=ONE_SOURCE, strategies=["linear"])
    run = deployment.run(federation)
    until_it_trains(deployment, run, "allegheny")
    deployment.end("coordinator", signal.SIGKILL)
    deployment.up()
    if deployment.finish() != 0:
        deployment.resume(run)
        assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


def test_a_run_stopped_between_rounds_goes_on_to_the_same_bits(deployment: Deployment) -> None:
    federation = deployment.federation(name="stopped")
    run = deployment.run(federation)
    wait_for(lambda: happened(run, "step", "round 2"), "round 2")
    deployment.sitebridge("coordinator", "stop", "--folder", deployment.coordinator)
    assert deployment.finish() == 1
    deployment.resume(run)
    assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


def test_a_site_that_never_answers_stops_the_run_by_name(deployment: Deployment) -> None:
    impatient = {"retries": 0, "timeout": 20.0, "away": 5.0}
    federation = deployment.federation(name="never", failures=impatient)
    agent = deployment.pid(deployment.folder / "salt-lake" / "agent", "agent")
    os.kill(agent, signal.SIGSTOP)
    try:
        run = deployment.run(federation)
        assert deployment.finish() == 1
        said = deployment.output("run")
        assert "salt-lake" in said
        assert f"resume with: sitebridge coordinator resume {run.name}" in said
    finally:
        os.kill(agent, signal.SIGCONT)  # its answer now comes late, to nobody
    deployment.resume(run)
    assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


def test_the_disk_full_at_the_coordinator_while_a_round_is_written(deployment: Deployment) -> None:
    federation = deployment.federation(name="disk", training=LONG, directions=ONE_SOURCE, strategies=["linear"])
    with small_disk(deployment.coordinator / "runs") as disk:
        run = deployment.run(federation)
        wait_for(lambda: happened(run, "step", "round 1"), "round 1")
        filler = disk / "filler"
        fill(filler)
        assert deployment.finish() == 1
        assert "No space left on device" in deployment.output("run")
        assert f"resume with: sitebridge coordinator resume {run.name}" in deployment.output("run")
        filler.unlink()
        deployment.resume(run)
        assert deployment.finish() == 0, deployment.output("run")
        same_bits(deployment, federation, run)


def test_the_network_cut_for_longer_than_a_keep_alive(deployment: Deployment) -> None:
    federation = deployment.federation(name="cut", training=LONG, directions=ONE_SOURCE, strategies=["linear"])
    run = deployment.run(federation)
    until_it_trains(deployment, run, "allegheny")
    proxies = family(deployment.pid(deployment.coordinator / "state", "proxy"))
    for process in proxies:  # connections neither close nor answer, as when a cable is pulled
        os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(KEEP_ALIVE)
    finally:
        for process in proxies:
            os.kill(process, signal.SIGCONT)
    assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


def test_a_site_whose_clock_is_an_hour_off_is_refused_by_name(deployment: Deployment) -> None:
    federation = deployment.federation(name="clock", failures={"retries": 0, "timeout": 60.0, "away": 20.0})
    deployment.end("allegheny")
    with an_hour_ahead(deployment, "allegheny") as said:
        wait_for(lambda: "terminated" in said(), "the SuperNode gives up: the coordinator refuses what it signs")
        status = deployment.sitebridge("coordinator", "status", "--json", "--folder", deployment.coordinator)
        assert "unauthenticated" in status  # counted by name at the coordinator; the hospital's `site check` says why
        run = deployment.run(federation)
        assert deployment.finish() == 1
        assert "sites not connected: allegheny" in deployment.output("run")
    deployment.site_up("allegheny")
    deployment.resume(run)
    assert deployment.finish() == 0, deployment.output("run")
    same_bits(deployment, federation, run)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Put a file system of three megabytes where a folder is."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with pytest.raises(OSError, match="No space left"):
        path.write_bytes(b"x" * 4_000_000)  # what had room stays


def family(process: int) -> list[int]:
    """Give a process and its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *map(int, children)]


@contextmanager
def an_hour_ahead(deployment: Deployment, name: str) -> Iterator[Callable[[], str]]:
    """Run a site's SuperNode with another clock; give what it says."""
    relay, log = deployment.folder / name / "relay", deployment.folder / f"{name}-clock.out"
    code = (
        "import datetime, flwr.supernode.node_auth_http_interceptor as auth\n"
        "real = auth.now\n"
        "auth.now = lambda: real() + datetime.timedelta(hours=1)\n"
        "from flwr.supernode.cli import flower_supernode\n"
        "flower_supernode()\n"
    )
    key, ca = relay / "node.key", relay / "ca.pem"
    address = ["--superlink", f"localhost:{deployment.port}", "--root-certificates", str(ca)]
    command = [
        sys.executable,
        "-c",
        code,
        *address,
        "--auth-supernode-private-key",
        str(key),
        "--port",
        str(free_port()),
    ]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            env=deployment.environment,
            cwd=deployment.folder,
            start_new_session=True,
        )
    try:
        yield log.read_text
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its SuperExec, too, which would go on dialling it
        process.wait(60)
