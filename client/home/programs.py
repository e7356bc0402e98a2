"""The programs of a site: Flower's two and, where the coordinator demands it, the sidecar; and the agent."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

from client.home.join import Welcome
from client.home.layout import Home
from common.child import Program
from common.errors import ConfigError

SIDECAR, NODE, EXECUTOR, AGENT = "sidecar", "supernode", "superexec", "agent"

_VARIABLE = re.compile(r"\$\{(\w+)\}")  # in a path of the site file


def relay_programs(home: Home, welcome: Welcome) -> list[Program]:
    """Give what the relay runs, in the order of its start."""
    bin_ = Path(sys.executable).parent
    runtime = f"127.0.0.1:{_free_port()}"
    secret = ["--superexec-auth-secret-file", str(home.secret)]
    # Flower installs bundles, and keeps what it likes, below these; nothing of the site's is there.
    own = {"FLWR_HOME": str(home.relay / "flower"), "HOME": str(home.relay), "PYTHONUNBUFFERED": "1"}
    programs, address, trusted = [], welcome.address, home.ca
    if welcome.mutual_tls:
        sidecar, address, trusted = _sidecar(home, own)
        programs.append(sidecar)
    node = [sys.executable, "-m", "client.home.supernode", "--superlink", address, "--root-certificates", str(trusted)]
    node += ["--auth-supernode-private-key", str(home.node_key), "--isolation", "process", *secret]
    node += ["--host", "127.0.0.1", "--port", runtime.rpartition(":")[2]]
    node += ["--node-config", f'agent-socket="{home.socket}"']
    executor = [str(bin_ / "flower-superexec"), "--runtime-api-address", runtime, "--insecure", *secret]
    return [*programs, Program(NODE, node, own), Program(EXECUTOR, executor, own)]


def agent_program(home: Home) -> Program:
    """Give what the agent runs."""
    command = [sys.executable, "-m", "client.service", str(home.site_file), str(home.agent), str(home.socket)]
    return Program(AGENT, command, agent_environment(home))


def agent_environment(home: Home) -> dict[str, str]:
    """Give the variables that paths of the site file name; the agent is told no others.

    Raises
    ------
    ConfigError
        There is no site file, or it cannot be read.
    """
    try:
        text = home.site_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{home.site_file}: cannot be read; the agent needs this site's file") from None
    return {name: os.environ[name] for name in _VARIABLE.findall(text) if name in os.environ}


def _sidecar(home: Home, own: dict[str, str]) -> tuple[Program, str, Path]:
    """Give the sidecar, where it listens, and by which certificate it is known."""
    from client.home.sidecar import CERTIFICATE, HOST, make_certificate

    make_certificate(home.relay)
    port = _free_port()
    command = [sys.executable, "-m", "client.home.sidecar", str(home.path), str(port)]
    return Program(SIDECAR, command, own), f"{HOST}:{port}", home.relay / CERTIFICATE


def _free_port() -> int:
    """Find a port on loopback that nobody has; whoever takes it before Flower does costs one restart of `up`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
