"""The ClientApp is a relay: it hands a message's task to the site's agent and brings the answer back.

It opens no data and imports no torch: Flower starts a process for every message, and the coordinator's bundle may
replace this very file. In one process (a simulation, a test) it calls the agent directly.
"""

from __future__ import annotations

import logging

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from common.errors import WireError
from common.tasks import Answer
from common.transport import content_of, request_of

app = ClientApp()
log = logging.getLogger("sitebridge.relay")


@app.train()
@app.query()
@app.evaluate()
def relay(message: Message, context: Context) -> Message:
    """Carry one task to the agent and its answer back."""
    if "agent-socket" in context.node_config:
        from client.relay import answer
    else:
        from client.hosting import answer  # brings the agent, and torch; only a relay that hosts one pays for that

    try:
        content = content_of(answer(request_of(message), context))
    except WireError as error:
        log.error("a message that is not passed on: %s", error)
        content = content_of(Answer("bad-task", ""))
    except Exception as error:  # its text would travel, and might hold what no text may hold
        log.error("a message that could not be passed on (%s)", type(error).__name__)
        content = content_of(Answer("failed", ""))
    return Message(content, reply_to=message)
