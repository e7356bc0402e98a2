"""The reverse proxy, the only thing that sites can reach: nginx, from the template beside this file."""

from __future__ import annotations

import os
import shutil
from importlib import resources
from pathlib import Path

from common.child import Program
from common.errors import ConfigError
from common.files import write_atomically
from server.coordinator.folder import Folder
from server.coordinator.settings import Settings

REFUSALS = "refusals.jsonl"  # what nginx answered otherwise than well
CONFIGURATION = "nginx.conf"

_MUTUAL = "ssl_client_certificate ../../ca/ca.pem; ssl_verify_depth 1; ssl_verify_client on;"


def configuration(settings: Settings) -> str:
    """Give nginx's configuration."""
    text = (resources.files("server.coordinator") / CONFIGURATION).read_text(encoding="utf-8")
    values = {
        "listen": settings.listen,
        "control_port": str(settings.control_port),
        "max_message_mb": str(settings.max_message_mb),
        "mutual_tls": "yes" if settings.mutual_tls else "no",
        "client_certificates": _MUTUAL if settings.mutual_tls else "",
        # Started as root, nginx would hand its work to a user who may not read this folder.
        "user": "user root;" if os.geteuid() == 0 else "",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def proxy_program(folder: Folder, settings: Settings) -> Program:
    """Write the configuration and give the command that runs it.

    Raises
    ------
    ConfigError
        nginx is not installed.
    """
    nginx = find_nginx()
    (folder.proxy / "temporary").mkdir(parents=True, exist_ok=True)
    write_atomically(folder.proxy / CONFIGURATION, configuration(settings))
    command = [nginx, "-e", "stderr", "-p", f"{folder.proxy}/", "-c", CONFIGURATION]
    return Program("proxy", command, logs=(folder.proxy / REFUSALS,))


def find_nginx() -> str:
    """Give nginx's path.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ConfigError(
            "nginx is not installed, and without it nothing stands between sites and Flower's control; install it "
            "(Debian: apt-get install nginx-light), or use the coordinator's container"
        )
    return str(Path(found))
