"""A hospital killed while it trains and started again on another address; the run ends in the same weights."""

from __future__ import annotations

import ipaddress
import json
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from containers import DEPLOY, Demo

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(3600)]

SITE = "allegheny"
ADDRESS = "import json, socket; print(json.dumps(socket.gethostbyname(socket.gethostname())))"
RUN = ["exec", "-T", "coordinator", "sitebridge", "coordinator", "run", "/inbox/federation.toml"]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def trained(run: Path) -> bool:
    """Whether a round of training has ended, so that the next one is on its way."""
    events = run / "events.jsonl"
    return events.exists() and "round 1" in events.read_text()


def move(demo: Demo, service: str) -> tuple[str, str]:
    """Kill a container; start it again with another address on its network. Give both addresses."""
    name, network = demo.container(service), f"{demo.environment['COMPOSE_PROJECT_NAME']}_{SITE}"
    before = demo.python(service, ADDRESS)
    after = str(ipaddress.ip_address(before) + 100)
    demo.engine("kill", name)
    demo.engine("network", "disconnect", network, name)
    demo.engine("network", "connect", "--ip", after, network, name)
    demo.engine("start", name)
    return before, after


def test_a_site_killed_while_training_comes_back_from_another_address(demo: Demo) -> None:
    known = demo.runs()
    command = [*shlex.split(demo.environment["COMPOSE"]), *RUN]
    following = subprocess.Popen(
        command, cwd=DEPLOY / "demo", env=demo.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: len(demo.runs()) > len(known), "the run begins")
    run = demo.runs()[-1]
    wait_for(lambda: trained(run), "the first round")
    demo.engine("kill", demo.container(f"{SITE}-agent"))
    before, after = move(demo, f"{SITE}-relay")
    demo.engine("start", demo.container(f"{SITE}-agent"))
    printed, _ = following.communicate(timeout=900)
    assert following.returncode == 0, printed
    assert demo.python(f"{SITE}-relay", ADDRESS) == after != before
    undisturbed, moved = (json.loads((folder / "results.json").read_text()) for folder in (demo.run, run))
    assert moved["weights"] == undisturbed["weights"]
    assert moved["results"] == undisturbed["results"]
