"""Decides what is done with a request at a deployed site: site file, approval, run and count, then the agent."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from client.agent import Agent
from client.approvals import check_approved
from client.boundary import check_work, read_task
from client.ledger import Ledger, mark_of
from client.privacy.ledger import PrivacyLedger
from client.refusals import code_of
from client.releases import Releases
from client.secure.peers import check_peers
from client.secure.vault import Vault
from client.site_file import Site, load_site
from client.told import Told
from common.errors import SitebridgeError
from common.tasks import Answer, Greet, Request, Work
from common.toml import refuse_replaced

log = logging.getLogger("sitebridge.site")


class Desk:
    """Takes requests, one after the other.

    Parameters
    ----------
    site_file : Path
        Read again before a task when it has changed, and while it cannot be used.
    folder : Path
        The agent's.
    """

    def __init__(self, site_file: Path, folder: Path) -> None:
        self.site_file, self.folder = site_file, folder
        self.ledger, self.privacy = Ledger(folder), PrivacyLedger(folder)
        self.told = Told(folder)
        self.releases = Releases(folder)
        self.name = ""  # until a site file could be read
        self._read = ""  # digest of the site file that the agent is of
        self._agent: Agent | None = None
        self._run = ""
        self._answered: tuple[str, Answer] | None = None

    def answer(self, request: Request, task: Greet | Work | None) -> Answer:
        """Do a task, or say by a code why not.

        Parameters
        ----------
        task : Greet, Work or None
            The request's, where it could be read.
        """
        try:
            return self._handle(request, task)
        except SitebridgeError as error:
            log.error("%s", error)
            return Answer(code_of(error), self.name)
        except Exception:  # whatever it is, its words may quote a patient's row, and must not travel
            log.exception("site %s failed", self.name)
            return Answer("failed", self.name)

    def agent(self) -> Agent:
        """Give the agent of the site file as it is now.

        Raises
        ------
        ConfigError
            The site file cannot be used.
        """
        content = b""
        if self.site_file.is_file():
            refuse_replaced(self.site_file)
            content = self.site_file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if self._agent is None or digest != self._read:
            self._agent, self._answered = None, None
            site = load_site(self.site_file)
            self._agent, self._read = Agent([site], self.privacy, self.releases, Vault(self.folder)), digest
            self.name = self._agent.name
        return self._agent

    def _handle(self, request: Request, task: Greet | Work | None) -> Answer:
        agent = self.agent()
        if task is None:
            task = read_task(request)  # says why
        site = agent.sites[0]
        if site.policy.approval:
            check_approved(self.folder, site.name, site.policy, task, request)
        if isinstance(task, Work):
            return self._work(agent, site, task, request)
        self.ledger.greet(task)
        if task.run != self._run:  # a new run sees the data as they are now
            agent.forget()
            self._run, self._answered = task.run, None
        return agent.answer(request)

    def _work(self, agent: Agent, site: Site, task: Work, request: Request) -> Answer:
        """Do a task; what the same request was answered last is kept, for whoever did not hear it."""
        check_work([site], task)
        if task.secure is not None:
            check_peers(site.policy, site.name, task.secure)
        self.ledger.work(task, request, site.policy.max_tasks)
        if not site.policy.differencing:
            self.told.check(site, self._read)
        mark = mark_of(task, request)
        if self._answered is None or self._answered[0] != mark:
            answer = agent.answer(request)
            if answer.code != "ok":
                return answer
            self._answered = mark, answer
        return self._answered[1]
