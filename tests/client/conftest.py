"""A site's folder, with an agent that serves it in a thread."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from client.relay import answer
from client.service import serve
from common.tasks import Answer, Request


@dataclass
class Deployed:
    """A site's folder and its agent."""

    folder: Path
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    patience: str = "20"

    @property
    def site_file(self) -> Path:
        return self.folder / "site.toml"

    @property
    def agent(self) -> Path:
        return self.folder / "agent"

    @property
    def socket(self) -> Path:
        return self.folder / "agent.sock"

    def policy(self, text: str) -> None:
        self.site_file.write_text(self.site_file.read_text().split("[policy]")[0] + f"[policy]\n{text}\n")

    def start(self) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=serve, args=(self.site_file, self.agent, self.socket, self.stop))
        self.thread.start()
        until = time.monotonic() + 60
        while not self.socket.is_socket() and time.monotonic() < until:
            time.sleep(0.01)

    def end(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join(60)

    def ask(self, request: Request) -> Answer:
        """Ask as the relay does."""
        config = {"agent-socket": str(self.socket), "agent-patience": self.patience}
        return answer(request, Context(1, 1, config, RecordDict(), {}))  # type: ignore[arg-type]


@pytest.fixture
def site(hospitals: Path, tmp_path: Path) -> Iterator[Deployed]:
    """A site's folder; its agent is not started."""
    made = make_site(hospitals, "allegheny", tmp_path / "site")
    yield made
    made.end()


@pytest.fixture
def deployed(site: Deployed) -> Deployed:
    """A site whose agent serves."""
    site.start()
    return site


def make_site(hospitals: Path, name: str, folder: Path) -> Deployed:
    folder.mkdir()
    for file in hospitals.glob(f"{name}.*"):
        shutil.copy(file, folder)
    (folder / f"{name}.toml").rename(folder / "site.toml")
    return Deployed(folder)
