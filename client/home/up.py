"""`site up`: relay and agent, each kept running by a supervisor of its own, which may be another user's.

The supervisor of the relay knows the relay's folder and the agent's socket, and nothing else of the site: what Flower
runs there is code that the coordinator sent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from client.home.flower_log import last_session
from client.home.join import Welcome, read_welcome
from client.home.layout import VARIABLE, Home
from client.home.programs import AGENT, NODE, agent_environment, agent_program, relay_programs
from client.home.users import hand_over
from client.state import read_state
from common.announcement import LONG, Announcement
from common.child import Program
from common.errors import ConfigError
from common.supervise import processes, supervise

Half = Literal["relay", "agent"]

_EVERY = 0.5  # seconds between two looks at whether all is ready


def up(home: Home, say: Callable[[str], None], relay_user: str | None = None, agent_user: str | None = None) -> None:
    """Run relay and agent until SIGTERM or SIGINT.

    Parameters
    ----------
    say : callable
        Told once when the site is ready, and of what needs a person.
    relay_user, agent_user : str, optional
        Whom the two run as; only root can say so.

    Raises
    ------
    ConfigError
        The site has not joined, has no site file, or a user is none.
    SitebridgeError
        It is up already.
    """
    welcome = joined(home)
    agent_environment(home)
    if relay_user is not None or agent_user is not None:
        hand_over(home, relay_user, agent_user)
    halves = [
        Program("agent", _half(home, "agent"), agent_environment(home), user=agent_user),
        Program("relay", _half(home, "relay"), user=relay_user),
    ]
    supervise(halves, home.up, _announcement(home, welcome, ("agent", "relay"), say).look)


def up_half(home: Home, half: Half, say: Callable[[str], None] = lambda _: None) -> None:
    """Run the relay alone or the agent alone until SIGTERM or SIGINT; see `up`."""
    welcome = joined(home) if half == "relay" else None
    programs = relay_programs(home, welcome) if welcome is not None else [agent_program(home)]
    folder = home.relay if half == "relay" else home.agent
    supervise(programs, folder, _announcement(home, welcome, (half,), say).look)


def joined(home: Home) -> Welcome:
    """Give the welcome of a site that has joined.

    Raises
    ------
    ConfigError
        It has not.
    """
    welcome = read_welcome(home)
    if welcome is None:
        raise ConfigError(
            f"{home.welcome}: no such file; send the request to the coordinator, then join with the file that comes "
            "back: sitebridge site join WELCOME.json"
        )
    return welcome


def is_ready(home: Home, half: Half) -> bool:
    """Whether the relay is connected, or the agent listens."""
    if half == "agent":
        running = processes(home.agent).get(AGENT)
        return running is not None and running.pid is not None and read_state(home.agent).get("pid") == running.pid
    node = processes(home.relay).get(NODE)
    if node is None or node.pid is None or not home.node_log.is_file():
        return False
    spoke = home.node_log.stat().st_mtime >= datetime.fromisoformat(node.since).timestamp()  # else: an earlier one did
    return spoke and last_session(home.node_log).node is not None


def _half(home: Home, half: Half) -> list[str]:
    return [sys.executable, "-m", "client.home.up", half, str(home.path)]


def _announcement(
    home: Home, welcome: Welcome | None, halves: tuple[Half, ...], say: Callable[[str], None]
) -> Announcement:
    words = {
        "agent": "the agent listens",
        "relay": f"the relay is connected to {welcome.address if welcome else ''}",
    }
    advice = f"sitebridge site status --folder {home.path}, and site check"
    return Announcement(
        missing=lambda: [half for half in halves if not is_ready(home, half)],
        ready=f"up: {', '.join(words[half] for half in halves)}; Ctrl-C ends it",
        late=lambda missing: f"not ready after {LONG:.0f} s: {' and '.join(missing)}; still trying. Look: {advice}",
        say=say,
        every=_EVERY,
    )


def _main(half: str, folder: str) -> None:
    """Run one half under the supervisor that runs both."""
    os.environ.pop(VARIABLE, None)
    up_half(Home(Path(folder)), "relay" if half == "relay" else "agent")


if __name__ == "__main__":
    _main(*sys.argv[1:])
