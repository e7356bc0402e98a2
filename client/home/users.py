"""Two users in one container or on one host: the relay's, and the agent's."""

from __future__ import annotations

import os
import pwd

from client.home.layout import Home
from common.errors import ConfigError


def hand_over(home: Home, relay_user: str | None, agent_user: str | None) -> None:
    """Give each half to its user, so that neither can read what is the other's.

    Raises
    ------
    ConfigError
        This process is not root's, or a user is missing.
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


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"no user is called {name!r} on this machine; make one first") from None
