"""Carries a request to the site's agent over a Unix socket and waits for its answer.

This runs in a process that Flower starts for every message, beside whatever code the coordinator sent: it opens no
data, and imports neither torch nor anything else that reads a cohort.
"""

from __future__ import annotations

import logging
import socket
import time

from flwr.app import Context

from client.frames import FrameError, answer_in, encode, header_of, receive
from common.tasks import Answer, Request

SOCKET = "agent-socket"  # node configuration: where the agent listens
PATIENCE = "agent-patience"  # node configuration: seconds for which an agent may be away
_PATIENCE = 120.0  # a restart takes the pause of its supervisor and the import of torch
_PAUSE = 0.5
_DEATHS = 3  # of an agent at one and the same request; a fourth try would kill it too

log = logging.getLogger("sitebridge.relay")


def answer(request: Request, context: Context) -> Answer:
    """Let the agent answer; wait as long as it works, and for a bounded time where it is away.

    An agent that dies is asked again when it is back: the same request has the same answer.
    """
    path = str(context.node_config[SOCKET])
    patience = float(str(context.node_config.get(PATIENCE, _PATIENCE)))
    try:
        payload, _ = encode(header_of(request), request.arrays)
    except (ValueError, FrameError) as error:  # a number that is not finite, or a frame that is too large
        log.error("%s", error)
        return Answer("bad-task", "")
    for _ in range(_DEATHS):
        connection = _connect(path, patience)
        if connection is None:
            break
        with connection:
            try:
                connection.sendall(payload)
                return answer_in(receive(connection))
            except (OSError, FrameError) as error:  # it died, or was stopped, with the request in its hands
                log.warning("the agent went away: %s", error)
                time.sleep(_PAUSE)
    log.error("the agent at %s does not answer", path)
    return Answer("agent-down", "")


def _connect(path: str, patience: float) -> socket.socket | None:
    """Connect to the agent, or give None where it was away for longer than `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError as error:  # no such file, nobody listening, a queue that is full
            connection.close()
            if time.monotonic() >= until:
                log.error("%s: %s", path, error.strerror)
                return None
            time.sleep(_PAUSE)
        else:
            return connection
