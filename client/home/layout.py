"""Where everything of a site lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError

VARIABLE = "SITEBRIDGE_SITE"  # names the folder where the command line does not
REQUEST = ".request.json"  # after the site's name

_LONGEST = 200_000  # bytes of a request or a welcome


@dataclass(frozen=True)
class Home:
    """The paths of a site's folder.

    Attributes
    ----------
    path : Path
        Absolute: Flower's processes keep the folder that they were started in.
    """

    path: Path

    @property
    def site_file(self) -> Path:
        """What the agent reads, and nobody else."""
        return self.path / "site.toml"

    @property
    def relay(self) -> Path:
        """All that the relay may see."""
        return self.path / "relay"

    @property
    def agent(self) -> Path:
        """All that the agent writes."""
        return self.path / "agent"

    @property
    def run(self) -> Path:
        """Where relay and agent meet."""
        return self.path / "run"

    @property
    def up(self) -> Path:
        """What keeps relay and agent running, where one command runs both."""
        return self.path / "up"

    @property
    def socket(self) -> Path:
        """The agent listens here."""
        return self.run / "agent.sock"

    @property
    def node_key(self) -> Path:
        """Signs every request to the coordinator."""
        return self.relay / "node.key"

    @property
    def node_public(self) -> Path:
        """By which the coordinator knows the site."""
        return self.relay / "node.pub"

    @property
    def tls_key(self) -> Path:
        """The key of `certificate`."""
        return self.relay / "tls.key"

    @property
    def secret(self) -> Path:
        """Shared by Flower's SuperNode and SuperExec here."""
        return self.relay / "superexec.secret"

    @property
    def ca(self) -> Path:
        """The coordinator's own authority; nothing else is trusted."""
        return self.relay / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Shown to a coordinator that demands one."""
        return self.relay / "client.pem"

    @property
    def welcome(self) -> Path:
        """What the coordinator sent, once it was checked."""
        return self.relay / "welcome.json"

    @property
    def node_log(self) -> Path:
        """What Flower's SuperNode said."""
        return self.relay / "supernode.log"

    def request(self, name: str) -> Path:
        """Give the path of what is sent to the coordinator."""
        return self.path / f"{name}{REQUEST}"

    def requests(self) -> list[Path]:
        """Give the request files that are here; there should be one."""
        return sorted(self.path.glob(f"*{REQUEST}"))


def home_of(folder: Path) -> Home:
    """Give the folder of a site that `init` has made.

    Raises
    ------
    ConfigError
        It has neither a relay's folder nor an agent's; a container may see one of them alone.
    """
    home = Home(folder.absolute())
    if not home.relay.is_dir() and not home.agent.is_dir():
        raise ConfigError(
            f"{folder}: not a site's folder; make one with `sitebridge site init {folder} --name NAME`, "
            f"or name the right one with --folder or {VARIABLE}"
        )
    return home


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises
    ------
    ConfigError
        The file is missing, long, or holds something else.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST + 1)
        content = json.loads(raw) if len(raw) <= _LONGEST else None
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: cannot be read; expected a JSON object of at most {_LONGEST:,} bytes")
    return content
