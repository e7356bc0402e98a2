"""Finds the agent of a node in this process, and starts it once."""

from __future__ import annotations

import logging
from pathlib import Path

from flwr.app import Context

from client.agent import Agent
from client.releases import Releases
from client.secure.vault import Vault
from client.site_file import load_site
from common.config import load_federation, site_files
from common.errors import SitebridgeError
from common.files import agent_folder
from common.tasks import Answer, Request

SITE_FILES = "site-files"  # node configuration: the site's file; several, joined by "|", are pooled
FEDERATION = "federation"  # run configuration: the federation's file, in Flower's own simulation
OUT = "out"  # node configuration of the in-process grid, or run configuration: the run's folder
AGENTS = "agents"  # in the run's folder: what agents remember

log = logging.getLogger("sitebridge.site")
_agents: dict[tuple[int, tuple[Path, ...]], Agent] = {}


def answer(request: Request, context: Context) -> Answer:
    """Let the agent of this node answer; a site that cannot even start says so by a code."""
    try:
        agent = _agent(context.run_id, _files(context), _folder(context))
    except SitebridgeError as error:
        log.error("%s", error)
        return Answer("bad-site-file", "")
    except Exception:  # whatever it is, its words may quote a patient's row, and must not travel
        log.exception("a site could not start")
        return Answer("failed", "")
    return agent.answer(request)


def _files(context: Context) -> tuple[Path, ...]:
    """Give the site file, or the files, of the node that runs here.

    A node of the in-process grid is told its site file. A node of Flower's simulation has a number only, which counts
    the sites of the federation's file; the number after the last site stands for all of them pooled.
    """
    if SITE_FILES in context.node_config:
        return tuple(Path(name) for name in str(context.node_config[SITE_FILES]).split("|"))
    path = Path(str(context.run_config[FEDERATION]))
    every = tuple(site_files(load_federation(path), path).values())
    number = int(context.node_config["partition-id"])
    return (every[number],) if number < len(every) else every


def _folder(context: Context) -> Path | None:
    """Give the run's folder, where agents remember what has to outlive their process; None where nobody says."""
    out = str(context.node_config.get(OUT, "") or context.run_config.get(OUT, ""))
    return Path(out) if out else None


def _agent(run: int, files: tuple[Path, ...], folder: Path | None) -> Agent:
    """Start an agent, or take the one that this run started; one process may host several sites."""
    for key in [key for key in _agents if key[0] != run]:
        del _agents[key]  # files may have changed since that run
    if (run, files) not in _agents:
        sites = [load_site(path) for path in files]
        if folder is None or len(sites) > 1:
            _agents[run, files] = Agent(sites)
        else:
            name = sites[0].name
            told, vault = Releases(folder / AGENTS / name), Vault(agent_folder(folder, name))
            _agents[run, files] = Agent(sites, releases=told, vault=vault)
    return _agents[run, files]
