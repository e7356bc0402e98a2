"""The agent's process: it listens at a Unix socket, and answers one request at a time.

It has the data, and needs no network. It is the only reader of cohort and tables, and the only writer of the audit log.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Event
from typing import Any

from client.audit.log import AuditLog
from client.audit.records import about, came, came_broken, leaves
from client.boundary import read_task
from client.desk import Desk
from client.frames import FrameError, SilenceError, encode, header_of, receive, request_in
from client.secure.vault import Vault
from client.socket_file import alone, listening
from client.state import State
from common.errors import SitebridgeError, WireError
from common.tasks import Answer, Greet, Request, Work

SITE_LOG = "site.log"
_LOG_BYTES, _LOGS = 2_000_000, 5
_SECONDS = 60.0  # for a frame to come whole, or to be taken
_DRAIN = 5.0
_PENALTY = 0.2  # after what is no frame: whoever sends rubbish fills the audit log slowly

log = logging.getLogger("sitebridge.site")


def serve(site_file: Path, agent_folder: Path, path: Path, stop: Event | None = None) -> None:
    """Answer requests at a Unix socket until `stop` is set, or for ever.

    Parameters
    ----------
    site_file : Path
        Where it cannot be used, every task is answered so, until it can.
    agent_folder : Path
        The agent's own: audit log, ledger, approvals, its log.
    path : Path
        Of the socket; one that a dead agent left behind is replaced.

    Raises
    ------
    ConfigError
        Another agent serves there, or the folder's audit log or ledger cannot be gone on with.
    """
    agent_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(agent_folder), _logging(agent_folder), listening(path) as listener:
        service = Service(site_file, agent_folder)
        log.info("the agent listens at %s", path)
        try:
            while stop is None or not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    with connection:
                        service.attend(connection)
        finally:
            service.close()


class Service:
    """Attends to connections, one after the other.

    Parameters
    ----------
    site_file, agent_folder : Path
        See `serve`.
    """

    def __init__(self, site_file: Path, agent_folder: Path) -> None:
        self.audit = AuditLog(agent_folder)
        self.audit.append({"direction": "note", "note": "the agent was started"})
        self.desk = Desk(site_file, agent_folder)
        self.state = State(agent_folder)
        self.said = _Said()
        log.addHandler(self.said)
        self.state.set(identity=Vault(agent_folder).fingerprint, **self._look())

    def close(self) -> None:
        """Close the audit log."""
        log.removeHandler(self.said)
        self.audit.close()

    def attend(self, connection: socket.socket) -> None:
        """Read one request, answer it, and close; whatever comes, the agent lives on."""
        try:
            self._attend(connection)
        except SilenceError:
            pass  # somebody looked whether the agent listens
        except OSError as error:  # the relay went away, or the disk of the audit log is full
            log.error("no answer was sent: %s", error)
            self.state.failed("failed", f"no answer was sent: {error}")
        except Exception:
            log.exception("no answer was sent")
            self.state.failed("failed", "no answer was sent")

    def _attend(self, connection: socket.socket) -> None:
        try:
            frame = receive(connection, _SECONDS)
            request = request_in(frame)
        except SilenceError:
            raise
        except FrameError as error:
            log.error("a frame that is refused: %s", error)
            self.audit.append(came_broken(str(error)))
            self._send(connection, None, Answer("bad-task", self.desk.name))
            _drain(connection)
            return
        task = _task_of(request)
        self.audit.append(came(frame, task))
        named = about(task)
        self.state.begin(named)
        self.said.text = ""
        answer = self.desk.answer(request, task)
        self.state.end(named, answer.code, self.said.text, **self._look())
        self._send(connection, task, answer)

    def _send(self, connection: socket.socket, task: Greet | Work | None, answer: Answer) -> None:
        """Send an answer; not before the audit log has it on disk."""
        try:
            payload, frame = encode(header_of(answer), answer.arrays)
        except (FrameError, ValueError) as error:  # too large for a frame, or a number that JSON does not have
            log.error("an answer that cannot be sent: %s", error)
            answer = Answer("failed", self.desk.name)
            payload, frame = encode(header_of(answer), {})
        self.audit.append(leaves(frame, task, answer))
        connection.settimeout(_SECONDS)
        connection.sendall(payload)

    def _look(self) -> dict[str, Any]:
        """Say how the site file is, and what is loaded."""
        try:
            agent = self.desk.agent()
        except (SitebridgeError, OSError) as error:
            return {"site_file": str(error), "cohort": {}}
        return {"site_file": "ok", "site": agent.name, "cohort": agent.loaded()}


def _task_of(request: Request) -> Greet | Work | None:
    """Read a task for the audit log, if it can be read; why not is said when it is answered."""
    try:
        return read_task(request)
    except WireError:
        return None


def _drain(connection: socket.socket) -> None:
    """Take what else comes, and drop it: an end that is still sending would lose the answer with the connection."""
    connection.shutdown(socket.SHUT_WR)
    until = time.monotonic() + _DRAIN
    with suppress(OSError):
        while time.monotonic() < until and connection.recv(2**16):
            connection.settimeout(_DRAIN)
    time.sleep(_PENALTY)


class _Said(logging.Handler):
    """Remembers the last error that was logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


@contextmanager
def _logging(folder: Path) -> Iterator[None]:
    """Write what the site says to its own log."""
    handler = RotatingFileHandler(folder / SITE_LOG, maxBytes=_LOG_BYTES, backupCount=_LOGS, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        log.level, log.propagate = before


def main(arguments: list[str] | None = None) -> None:
    """Serve, from the command line: ``python -m client.service SITE_FILE AGENT_FOLDER SOCKET``."""
    parser = argparse.ArgumentParser(prog="python -m client.service", description=(serve.__doc__ or "").splitlines()[0])
    for name in ("site_file", "agent_folder", "socket"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    os.umask(0o077)  # after an unforeseen error, the site's log may quote a cell
    try:
        serve(given.site_file, given.agent_folder, given.socket)
    except SitebridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
