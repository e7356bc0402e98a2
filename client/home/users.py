"""Two users in one container or on one host: the relay's, and the agent's."""

from __future__ import annotations

import os
import pwd
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from client.home.layout import Home
from common.errors import ConfigError, SitebridgeError
from common.toml import resolve


def hand_over(home: Home, relay_user: str | None, agent_user: str | None) -> None:
    """Give each half to its user, so that neither can read what is the other's.

    Raises
    ------
    ConfigError
        This process is not root's, a user is missing, or the relay's user can read the data.
    """
    if os.geteuid() != 0:
        raise ConfigError("--relay-user and --agent-user need root: only root can start processes of other users")
    if relay_user is None or agent_user is None or relay_user == agent_user:
        raise ConfigError("--relay-user and --agent-user go together, and name two different users")
    relay, agent = _user(relay_user), _user(agent_user)
    for folder, user in ((home.relay, relay), (home.agent, agent)):
        if folder.stat().st_uid != user.pw_uid:  # once: root touches nothing in a folder that is already another's
            for path in (*folder.rglob("*"), folder):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
            folder.chmod(0o700)
    os.chown(home.site_file, agent.pw_uid, agent.pw_gid)
    home.site_file.chmod(0o600)
    os.chown(home.run, agent.pw_uid, relay.pw_gid)  # the agent puts its socket there, the relay may go in
    home.run.chmod(0o2750)  # what is made in it belongs to the relay's group
    home.path.chmod(0o711)
    for path in _data(home):
        if _can_read(relay, path):
            raise ConfigError(
                f"{path}: {relay_user}, whom the relay runs as, can read it, and the relay runs what the coordinator "
                f"sends; let {agent_user} alone read it: chown {agent_user} FILE; chmod 600 FILE"
            )


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"no user is called {name!r} on this machine; make one first") from None


def _data(home: Home) -> Iterator[Path]:
    """Give the files of patients that the site file names; where it cannot be read, the agent will say so."""
    with suppress(OSError, ValueError, AttributeError, SitebridgeError):
        cohort = tomllib.loads(home.site_file.read_text(encoding="utf-8")).get("cohort", {})
        for key in ("file", "test_file"):
            if key in cohort:
                yield resolve(str(cohort[key]), home.path)


def _can_read(user: pwd.struct_passwd, path: Path) -> bool:
    command = ["test", "-r", str(path)]
    return subprocess.run(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], check=False).returncode == 0
