"""Where everything of a coordinator lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError

VARIABLE = "SITEBRIDGE_COORDINATOR"  # names the folder where the command line does not


@dataclass(frozen=True)
class Folder:
    """The paths of a coordinator's folder.

    Attributes
    ----------
    path : Path
        Absolute: Flower's processes keep the folder that they were started in.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """What a person may edit."""
        return self.path / "coordinator.toml"

    @property
    def ca(self) -> Path:
        """The certificate of the coordinator's own authority, which sites trust and nothing else."""
        return self.path / "ca" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Its key; may be kept elsewhere, and brought here to register a site or to renew."""
        return self.path / "ca" / "ca.key"

    @property
    def certificate(self) -> Path:
        """What the proxy shows to sites."""
        return self.path / "tls" / "server.pem"

    @property
    def key(self) -> Path:
        """The key of `certificate`."""
        return self.path / "tls" / "server.key"

    @property
    def inner_certificate(self) -> Path:
        """What the SuperLink shows on loopback: with authentication of nodes it insists on TLS there too."""
        return self.path / "tls" / "loopback.pem"

    @property
    def inner_key(self) -> Path:
        """The key of `inner_certificate`."""
        return self.path / "tls" / "loopback.key"

    @property
    def secret(self) -> Path:
        """What the SuperExec shows to the SuperLink, so that nobody else is given tasks."""
        return self.path / "secret" / "superexec"

    @property
    def state(self) -> Path:
        """The SuperLink's database, logs, and what runs."""
        return self.path / "state"

    @property
    def proxy(self) -> Path:
        """The proxy's configuration, its record of refusals and its temporary files."""
        return self.state / "proxy"

    @property
    def sites(self) -> Path:
        """One file for each registered site."""
        return self.path / "sites"

    @property
    def flower(self) -> Path:
        """Flower's own home."""
        return self.path / "flower"

    @property
    def app(self) -> Path:
        """The thin bundle that Flower carries to sites."""
        return self.path / "app"

    @property
    def runs(self) -> Path:
        """One folder for each run."""
        return self.path / "runs"


def find_folder(path: Path) -> Folder:
    """Give the folder of a coordinator that `init` has made.

    Raises
    ------
    ConfigError
        There is none at `path`.
    """
    folder = Folder(path.absolute())
    if not folder.settings.is_file():
        raise ConfigError(
            f"{path}: no coordinator here; make one with `sitebridge coordinator init`, or name its folder with "
            f"--folder or the environment variable {VARIABLE}"
        )
    return folder
