"""`site status`: what runs, whether it is connected, what was done last, what went wrong last, what left in all."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from client.approvals import FOLDER, Approval
from client.audit.totals import messages, totals
from client.home.flower_log import Session, last_session
from client.home.join import own_name, read_welcome
from client.home.layout import Home
from client.home.programs import NODE
from client.home.up import is_ready
from client.privacy.report import in_words, spent
from client.site_file import Site, load_site
from client.state import read_state
from common.errors import ConfigError, SitebridgeError
from common.supervise import Process, processes
from common.toml import read_toml

_OF_AGENT = ("since", "version", "identity", "site_file", "cohort", "working", "last", "error")


def status(home: Home) -> dict[str, Any]:
    """Give everything that is known here of a site, as JSON has it; nothing of it leaves the site."""
    welcome = read_welcome(home)
    halves = {half: processes(folder) for half, folder in (("relay", home.relay), ("agent", home.agent))}
    state = read_state(home.agent)
    return {
        "site": welcome.name if welcome else own_name(home),
        "coordinator": welcome.address if welcome else None,
        "up": {half: bool(found) for half, found in halves.items()},
        "here": {"relay": home.relay.is_dir(), "agent": home.agent.is_dir()},  # in containers, each sees its own half
        "connected": is_ready(home, "relay"),
        "processes": {name: _process(home, name, found) for half in halves.values() for name, found in half.items()},
        "agent": {key: state.get(key) for key in _OF_AGENT},
        "last_message": _last_message(home),
        "audit": _audit(home),
        "privacy": spent(home.agent, _site(home)),
        "approvals": approvals(home),
    }


def _site(home: Home) -> Site | None:
    try:
        return load_site(home.site_file)
    except (SitebridgeError, OSError):  # `site check` says why
        return None


def approvals(home: Home) -> list[dict[str, str]]:
    """Give every approval of a data steward, and every file that is none."""
    found = []
    for path in sorted((home.agent / FOLDER).glob("*.toml")):
        try:
            approval = read_toml(path, Approval)
        except ConfigError:
            found.append({"file": path.name, "problem": "cannot be read; remove it and approve the federation anew"})
        else:
            at = approval.at.isoformat()
            found.append({"federation": approval.name, "by": approval.by, "at": at, "digest": approval.digest})
    return found


def lines(facts: dict[str, Any]) -> list[str]:
    """Say the same in words."""
    said = [f"site         {facts['site'] or 'not joined yet'}", f"coordinator  {_coordinator(facts)}"]
    said += [f"{name:<12} {_running(process)}" for name, process in facts["processes"].items()]
    said += [_down(half, facts["here"][half]) for half, up in facts["up"].items() if not up]
    if not facts["here"]["agent"]:
        return said
    said += _of_agent(facts["agent"])
    said.append(f"last message {facts['last_message'] or 'none yet'}")
    audit = facts["audit"]
    said.append(
        f"audit        in: {audit['in']['messages']:,} messages, {audit['in']['bytes']:,} bytes; out: "
        f"{audit['out']['messages']:,} messages, {audit['out']['numbers']:,} numbers in arrays, "
        f"{audit['out']['figures']:,} figures, {audit['out']['bytes']:,} bytes; {audit['refused']:,} refused"
    )
    said += [f"privacy      {in_words(found)}" for found in facts["privacy"]]
    given = [_approval(found) for found in facts["approvals"]]
    return said + [
        f"approval     {text}" for text in given or ["none; sitebridge site approve FEDERATION.toml --by WHO"]
    ]


def _down(half: str, here: bool) -> str:
    if not here:
        return f"{half:<12} not seen from here; ask in its own container"
    return f"{half:<12} not up; start it: sitebridge site up"


def last_exit(code: int | None, name: str, home: Home) -> str:
    """Say how a program ended last, in words; "" where it never did."""
    if code is None:
        return ""
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    session = last_session(home.node_log) if name == NODE and code else Session()
    if session.node is not None and session.exit_code:
        return f"Flower's exit code {session.exit_code}; connected again since"
    ended = f"ended with code {code}; {_folder(home, name) / name}.log says why" if code else "ended by itself"
    return session.why or ended


def _folder(home: Home, program: str) -> Path:
    return home.agent if program == "agent" else home.relay


def _process(home: Home, name: str, process: Process) -> dict[str, Any]:
    return asdict(process) | {"last_end": last_exit(process.last_exit, name, home)}


def _last_message(home: Home) -> str | None:
    """Give the time of the last message that came, by the audit log."""
    times = [str(record.get("time")) for record in messages(home.agent) if record["direction"] == "in"]
    return times[-1] if times else None


def _audit(home: Home) -> dict[str, Any]:
    found = totals(home.agent)
    sums: dict[str, Any] = {
        way: {
            key: sum(getattr(total, key) for total in found if total.direction == way)
            for key in ("messages", "numbers", "figures", "bytes")
        }
        for way in ("in", "out")
    }
    return sums | {"refused": sum(total.refused for total in found if total.direction == "out")}


def _coordinator(facts: dict[str, Any]) -> str:
    if not facts["here"]["relay"]:
        return "not seen from here; ask in the relay's own container"
    if facts["coordinator"] is None:
        return "not joined yet; sitebridge site join WELCOME.json"
    words = "connected" if facts["connected"] else "not connected; sitebridge site check says why"
    return f"{facts['coordinator']}, {words}"


def _running(process: dict[str, Any]) -> str:
    now = f"process {process['pid']} since" if process["pid"] else "waits for its next start since"
    restarts = f", {process['restarts']} restarts" if process["restarts"] else ""
    end = f"; last end: {process['last_end']}" if process["last_end"] else ""
    return f"{now} {process['since']}{restarts}{end}"


def _of_agent(state: dict[str, Any]) -> list[str]:
    said = [f"identity     {state['identity']}"] if state["identity"] else []
    if state["site_file"] not in (None, "ok"):
        said.append(f"site file    {state['site_file']}")
    if state["cohort"]:
        said.append(f"cohort       loaded for {', '.join(state['cohort'])}")
    elif state["since"]:
        said.append("cohort       not loaded yet; the first task loads it")
    for key, title in (("working", "at work"), ("last", "last task"), ("error", "last error")):
        if state[key]:
            said.append(f"{title:<12} {_task(state[key])}")
    return said


def _task(facts: dict[str, Any]) -> str:
    when = facts.get("time") or facts.get("since")
    rest = [f"{key} {value}" for key, value in facts.items() if key not in ("time", "since", "text") and value != ""]
    return f"{when}: {', '.join(rest)}{': ' + facts['text'] if facts.get('text') else ''}"


def _approval(found: dict[str, str]) -> str:
    if "problem" in found:
        return f"{found['file']}: {found['problem']}"
    return f"{found['federation']}, by {found['by']} at {found['at']}, digest {found['digest'][:12]}"
