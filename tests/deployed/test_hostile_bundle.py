"""A bundle with code, run by Flower in the relay as the relay's user: it gets no data, and codes for forged tasks."""

from __future__ import annotations

import base64
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from attacking import command_json, unharmed
from deployment import CONTENT, Deployment, wait_for, weights
from forging import Forged, Forger, codes
from two_users import AGENT, RELAY, SITE, demand_users, give_to_agent, made, up

from client.audit.chain import read_lines
from common.config import Federation, load_federation
from common.environment import minimal_environment
from server.simulate import run as simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BUNDLE = Path(__file__).parent / "hostile"


@pytest.fixture(scope="module")
def site() -> Iterator[Deployment]:
    """A hospital of two users that did an honest run; its coordinator turns hostile afterwards."""
    demand_users()
    folder = Path(tempfile.mkdtemp(prefix="sitebridge-"))  # where the two users may come, unlike pytest's own
    folder.chmod(0o711)
    deployment = None
    try:
        deployment = made(folder)
        yield deployment
    finally:
        for name in reversed(list(deployment.processes)) if deployment else ():
            deployment.end(name)
        shutil.rmtree(folder)


def approved(site: Deployment, name: str, rounds: int = 3) -> Path:
    """Write a federation of the one site, and let its data steward approve it."""
    training = {"rounds": rounds, "epochs": 1, "batches": 8}
    alone = {"strategies": ["local"], "directions": [{"sources": [SITE]}], "sites": {SITE: {}}, "training": training}
    path = site.folder / f"{name}.toml"
    path.write_text(tomli_w.dumps({**CONTENT, **alone, "name": name}))
    site.sitebridge("site", "approve", path, "--by", "a test", "--folder", site.folder / SITE)
    return path


def honest_run(site: Deployment, federation: Path) -> None:
    """Run a federation, and demand the bits of the same federation in process."""
    run = site.run(federation)
    assert site.finish() == 0, site.output("run")
    out, entry = site.folder / "hospitals" / federation.stem, {"file": str(site.folder / f"hospitals/{SITE}.toml")}
    simulate(load_federation(federation, {"sites": {SITE: entry}}), federation, out)
    assert weights(run) == weights(out)


def audit(site: Deployment) -> list[dict[str, Any]]:
    lines = read_lines(site.folder / SITE / "agent" / "audit.jsonl")
    return [line.record for line in lines if line.record and line.record["direction"] != "note"]


def plan(site: Deployment, frames: list[Forged]) -> dict[str, Any]:
    """Tell the hostile bundle all that it needs, and more than a coordinator would know."""
    home = site.folder / SITE
    agents = ["site.toml", f"{SITE}.csv", "agent/audit.jsonl", "agent/audit.key", "agent/ledger.json", "agent/site.log"]
    known = [str(home / name) for name in agents]
    return {
        "roots": [str(site.folder), str(home), str(home / "agent"), str(home / "relay"), str(home / "run")],
        "known": known,
        "write": [*known, str(home / "run" / "agent.sock"), str(home / "agent" / "approvals" / "mine.toml")],
        "kill": [site.pid(home / "agent", "agent"), site.processes[SITE].pid],
        "connect": [["localhost", site.port]],
        "frames": [forged.as_json() for forged in frames],
    }


def submit(site: Deployment, orders: dict[str, Any]) -> dict[str, Any]:
    """Submit the hostile bundle as whoever reaches the control port can; give what it brought home."""
    orders_path, loot = site.coordinator / "plan.json", site.coordinator / "loot.json"
    orders_path.write_text(json.dumps(orders))
    config = site.coordinator / "hostile.toml"
    config.write_text(tomli_w.dumps({"plan": str(orders_path), "loot": str(loot)}))
    flwr = str(Path(sys.executable).parent / "flwr")
    command = [flwr, "run", str(BUNDLE), "sitebridge", "--run-config", str(config), "--format", "json"]
    environment = minimal_environment({"FLWR_HOME": str(site.coordinator / "flower"), "NO_COLOR": "1"})
    done = subprocess.run(command, env=environment, cwd=site.coordinator, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout)["success"], done.stdout + done.stderr
    wait_for(loot.exists, "the hostile bundle reports", 420)
    (found,) = json.loads(loot.read_text())
    assert "error" not in found, found
    return dict(found)


def forged_by(federation: Federation, earlier: tuple[str, int]) -> list[Forged]:
    forger = Forger(federation, ("of-the-attacker", time.time_ns()))
    served = Forged("a greeting that is approved", forger.greet(), "ok")
    allowed = Forged("a task that is approved", forger.work(), "ok")
    attacks = [forger.old(earlier), forger.not_approved(), forger.no_tasks(), forger.arrays(), forger.garbage()]
    return [served, *(forged for attack in attacks for forged in attack), allowed]


def test_data_that_the_relays_user_can_read_is_not_worked_with(site: Deployment) -> None:
    data = site.folder / SITE / f"{SITE}.csv"
    data.chmod(0o644)
    users = ["--relay-user", RELAY, "--agent-user", AGENT]
    said = site.sitebridge("site", "up", *users, "--folder", site.folder / SITE, check=False, seconds=60)
    assert f"{data}: {RELAY}" in said
    assert "can read it" in said


def test_a_hostile_bundle_gets_codes_and_no_data(site: Deployment) -> None:
    home = site.folder / SITE
    give_to_agent(home / f"{SITE}.csv")
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("max_rounds = 100", "max_rounds = 3"))
    up(site)
    federation, greedy = approved(site, "honest"), approved(site, "greedy", rounds=5)
    honest_run(site, federation)
    earlier = audit(site)[-1]
    frames = forged_by(load_federation(federation), (earlier["run"], earlier["session"]))
    beyond = Forger(load_federation(greedy), ("of-the-attacker", frames_session(frames)))
    frames.insert(-1, Forged("what was approved, beyond the policy", beyond.work(), "refused"))
    before = len(audit(site))
    with unharmed(site):
        loot = submit(site, plan(site, frames))

    answers = [base64.b64decode(answer) for answer in loot["answers"]]
    said = {forged.what: codes(answer) for forged, answer in zip(frames, answers, strict=True) if answer}
    wanted = {forged.what: [forged.decision] for forged in frames if not forged.hang_up}
    wanted |= {frames[0].what: ["ok", "facts"], frames[-1].what: ["ok", "figures", "arrays"]}
    assert said == wanted
    decided = [line["decision"] for line in audit(site)[before:] if line["direction"] == "out"]
    assert decided == [forged.decision for forged in frames]
    assert sum("announces" in line.get("why", "") for line in audit(site)[before:]) == 3  # judged before they came
    site.sitebridge("site", "audit", "verify", "--folder", home)
    found_nothing(site, loot)
    honest_run(site, approved(site, "afterwards"))
    shown = command_json(site, "site", "audit", "show", "--folder", home)
    assert sum(row["refused"] for row in shown["totals"] if row["direction"] == "out") == len(frames) - 2


def frames_session(frames: list[Forged]) -> int:
    """Give the session that the attacker's greeting opened."""
    request = json.loads(frames[0].content[18:])
    return int(json.loads(request["task"])["session"])


def found_nothing(site: Deployment, loot: dict[str, Any]) -> None:
    """Demand that nothing of the agent's came home, and that the bundle really looked."""
    home = site.folder / SITE
    assert loot["user"] == pwd.getpwnam(RELAY).pw_uid != os.getuid()
    assert {str(home / "relay" / name) for name in ("node.key", "superexec.secret")} <= loot["files"].keys()
    assert loot["connected"] == [["localhost", site.port]]  # the relay's own way out; a firewall's affair
    assert (loot["written"], loot["killed"]) == ([], [])
    agents = [path for path in (home / "agent").rglob("*") if path.is_file()]
    secret = [home / "site.toml", home / f"{SITE}.csv", *agents]
    assert not {str(path) for path in secret} & loot["files"].keys()
    agent = f"/proc/{site.pid(home / 'agent', 'agent')}/"
    assert not [path for path in loot["processes"] if path.startswith(agent)]
    taken = json.dumps(loot["environment"]) + json.dumps(loot["node_config"])
    taken += "".join(base64.b64decode(content).decode("latin-1") for content in loot["files"].values())
    taken += "".join(base64.b64decode(content).decode("latin-1") for content in loot["processes"].values())
    own = [path for path in secret if path.name != "processes.json"]  # the relay has one of its own, of the same second
    lines = [line for path in own for line in path.read_text("latin-1").splitlines()[1:100] if len(line) > 30]
    assert len(lines) > 100
    assert not [line for line in lines if line in taken]
    assert f"{SITE}.csv" not in taken
