"""One hospital whose relay and agent are two users of this machine; only root can start it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import Deployment, wait_for

from client.hospitals.generate import write_hospitals

RELAY, AGENT = "nobody", "daemon"  # users that every Debian has, and that own nothing
SITE = "allegheny"
_VIEW = """
set -e
hidden=$1 aside=$(mktemp -d "$2/view.XXXXXX") first=$3 second=$4; shift 4
mkdir "$aside/first" "$aside/second"
mount --bind "$first" "$aside/first"; mount --bind "$second" "$aside/second"
mount -t tmpfs -o mode=755 tmpfs "$hidden"
mkdir -p "$first" "$second"
mount --bind "$aside/first" "$first"; mount --bind "$aside/second" "$second"
exec "$@"
"""


def demand_users() -> None:
    """Skip where processes of other users cannot be started."""
    if os.geteuid() != 0:
        pytest.skip("relay and agent as two users: only root can start processes of other users")


def made(folder: Path) -> Deployment:
    """Make a coordinator that is up, and one hospital whose data and folder are the agent's."""
    deployment = Deployment(folder)
    write_hospitals(folder / "hospitals", 2000, 1)
    address, listen = f"localhost:{deployment.port}", f"127.0.0.1:{deployment.port}"
    options = ["--address", address, "--listen", listen, "--control-port", str(deployment.control)]
    deployment.sitebridge("coordinator", "init", deployment.coordinator, *options)
    deployment.up()
    deployment.join(SITE)
    (folder / "hospitals").chmod(0o700)
    deployment.coordinator.chmod(0o700)  # it stands for another machine
    return deployment


def up(deployment: Deployment) -> None:
    """Start the hospital as two users, and wait until it is connected."""
    users = ["--relay-user", RELAY, "--agent-user", AGENT]
    command = [str(Path(sys.executable).parent / "sitebridge"), "site", "up", *users, "--folder", SITE]
    with (deployment.folder / f"{SITE}.out").open("ab") as out:
        deployment.processes[SITE] = subprocess.Popen(
            _seen_by_others(command, deployment.folder),
            stdout=out,
            stderr=out,
            env=deployment.environment,
            cwd=deployment.folder,
        )
    ended = deployment.processes[SITE].poll
    wait_for(lambda: "up: " in deployment.output(SITE) or ended() is not None, "the site is up")
    assert ended() is None, deployment.output(SITE)


def give_to_agent(path: Path) -> None:
    """Let nobody but the agent's user read a file, as a hospital would."""
    user = pwd.getpwnam(AGENT)
    os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(0o600)


def _seen_by_others(command: list[str], folder: Path) -> list[str]:
    """Where this Python lies in a folder that other users may not enter, give a view of the machine in which they may.

    The view is a mount namespace of the command's own: nothing on the machine changes.
    """
    places = [Path(sys.prefix), Path(sys.base_prefix)]
    closed = [parent for place in places for parent in reversed(place.parents) if not parent.stat().st_mode & 0o001]
    if not closed:
        return command
    view = ["unshare", "--mount", "--propagation", "private"]
    if len(set(closed)) > 1 or subprocess.run([*view, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"other users may not enter {closed[0]}, where this Python lies, and no view can be made")
    return [*view, "sh", "-c", _VIEW, "view", str(closed[0]), str(folder), *map(str, places), *command]
