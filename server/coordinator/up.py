"""`up`: the proxy, the SuperLink and the SuperExec, kept running until told to end."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.announcement import LONG, Announcement
from common.child import Program
from common.supervise import supervise
from server.coordinator.authority import expiry
from server.coordinator.bundle import write_bundle
from server.coordinator.folder import Folder
from server.coordinator.proxy import proxy_program
from server.coordinator.settings import Settings, read_settings, split

_WARN = timedelta(days=60)
_EVERY = 1.0  # seconds between two looks at a port


def up(folder: Folder, say: Callable[[str], None]) -> None:
    """Run the coordinator's servers until SIGTERM or SIGINT.

    Parameters
    ----------
    folder : Folder
    say : callable
        Told when sites can dial, and of what needs a person.

    Raises
    ------
    ConfigError
        The folder cannot be used, or nginx is not installed.
    SitebridgeError
        It is up already.
    """
    settings = read_settings(folder.settings)
    for line in expiring(folder):
        say(line)
    write_bundle(folder.app)  # of the version that runs from now on
    supervise(programs(folder, settings), folder.state, _announcement(folder, settings, say).look)


def programs(folder: Folder, settings: Settings) -> list[Program]:
    """Give what runs, in the order of its start."""
    home = {"FLWR_HOME": str(folder.flower), "PYTHONUNBUFFERED": "1"}
    bin_ = Path(sys.executable).parent
    link = [str(bin_ / "flower-superlink"), "--host", "127.0.0.1", "--port", str(settings.control_port)]
    link += ["--ssl-ca-certfile", str(folder.ca), "--ssl-certfile", str(folder.inner_certificate)]
    link += ["--ssl-keyfile", str(folder.inner_key), "--enable-supernode-auth", "--isolation", "process"]
    link += ["--superexec-auth-secret-file", str(folder.secret), "--database", str(folder.state / "superlink.db")]
    link += ["--disable-runtime-dependency-installation"]
    exec_ = [str(bin_ / "flower-superexec"), "--runtime-api-address", f"127.0.0.1:{settings.control_port}"]
    exec_ += ["--root-certificates", str(folder.ca), "--superexec-auth-secret-file", str(folder.secret)]
    return [
        proxy_program(folder, settings),
        Program("superlink", link, home),
        Program("superexec", exec_, home | {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "1.0"}),  # it starts runs, no rounds
    ]


def expiring(folder: Folder) -> list[str]:
    """Say which certificate ends soon, and what to do."""
    ends = expiry(folder.certificate)
    if ends > datetime.now(UTC) + _WARN:
        return []
    ended = ends < datetime.now(UTC)
    return [
        f"the server certificate {'ended' if ended else 'ends'} on {ends:%Y-%m-%d}; "
        f"sites {'cannot' if ended else 'can then not'} connect. Renew it: sitebridge coordinator renew"
    ]


def answers(folder: Folder, settings: Settings) -> bool:
    """Whether the proxy answers as sites will find it, and the SuperLink behind it."""
    host, port = split(settings.listen)
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return _handshake(here, port, folder.ca) and _handshake("127.0.0.1", settings.control_port, folder.ca)


def _handshake(host: str, port: int, authority: Path) -> bool:
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False  # sites dial a name that may not be known in here
    try:
        with (
            socket.create_connection((host, port), timeout=2.0) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def _announcement(folder: Folder, settings: Settings, say: Callable[[str], None]) -> Announcement:
    return Announcement(
        missing=lambda: [] if answers(folder, settings) else ["the servers"],
        ready=f"up: sites dial {settings.address} (listening on {settings.listen}); Ctrl-C ends it",
        late=lambda _: f"not up after {LONG:.0f} s; {folder.state}/*.log say why; still trying",
        say=say,
        every=_EVERY,
    )
