"""A site in one container: relay and agent as two of its users, by a single `run` of the engine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from containers import CALL, Demo

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(3600)]

SITE = "salt-lake"
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
PROCESSES = """
import glob, json
found = []
for path in glob.glob("/proc/[0-9]*/status"):
    status = dict(line.split(":", 1) for line in open(path))
    command = open(path.replace("status", "cmdline")).read().split("\\0")
    found.append((status["Uid"].split()[1], int(status["CapEff"], 16), " ".join(command)))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def alone(demo: Demo) -> Iterator[str]:
    """Put one container in the place of a hospital's two; its folder, keys and approval stay."""
    engine = demo.images.engine
    demo.compose("stop", "--timeout", "15", f"{SITE}-relay", f"{SITE}-agent")
    project = demo.environment["COMPOSE_PROJECT_NAME"]
    name, data = f"{project}-alone", demo.folder / "data" / f"{SITE}.csv"
    own = ["--user", "root", "--cap-add", "CHOWN", "--cap-add", "FOWNER", "--volume", f"{data}:/data", "--entrypoint"]
    demo.images.once(*own, "sh", demo.images.site, "-c", "chown agent /data && chmod 600 /data")
    command = [engine, "run", "--detach", "--name", name, "--user", "root", "--read-only", "--tmpfs", "/tmp"]
    command += ["--cap-drop", "ALL", *(f"--cap-add={capability}" for capability in CAPABILITIES)]
    command += ["--security-opt", "no-new-privileges", "--network", f"{project}_{SITE}"]
    command += ["--volume", f"{demo.folder / SITE}:/site", "--volume", f"{data}:/data/{SITE}.csv:ro", demo.images.site]
    command += ["site", "up", "--relay-user", "relay", "--agent-user", "agent"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=CALL)
        yield name
    finally:
        for end in (["stop", "-t", "15"], ["rm", "--force"]):
            subprocess.run([engine, *end, name], capture_output=True, timeout=CALL, check=False)
        demo.compose("start", f"{SITE}-agent", f"{SITE}-relay")


def inside(demo: Demo, name: str, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    whole = [demo.images.engine, "exec", "--user", user, name, *command]
    return subprocess.run(whole, capture_output=True, text=True, timeout=CALL, check=False)


def test_a_site_works_in_one_container_with_two_users(demo: Demo, alone: str) -> None:
    until = time.monotonic() + 300
    while inside(demo, alone, "python", "/usr/local/lib/sitebridge/health.py").returncode != 0:
        assert time.monotonic() < until, "relay and agent are not ready"
        time.sleep(2)
    lines = json.loads(inside(demo, alone, "python", "-c", PROCESSES).stdout)
    capable = {user: max(can for who, can, _ in lines if who == user) for user in ("10002", "10003")}
    assert capable == {"10002": 0, "10003": 0}
    users = {
        word: {who for who, _, command in lines if word in command}
        for word in ("client.home.supernode", "flower-superexec", "client.service")
    }
    assert users == {"client.home.supernode": {"10002"}, "flower-superexec": {"10002"}, "client.service": {"10003"}}


def test_the_relays_user_reads_nothing_of_the_agents(demo: Demo, alone: str) -> None:
    for path in (f"/data/{SITE}.csv", "/site/site.toml", "/site/agent/audit.key"):
        assert inside(demo, alone, "test", "-e", path).returncode == 0
        assert "Permission denied" in inside(demo, alone, "cat", path, user="relay").stderr
    assert "Permission denied" in inside(demo, alone, "cat", "/site/relay/node.key", user="agent").stderr
