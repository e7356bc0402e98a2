"""The ClientApp is a relay: it hands a message's task to the site's agent and brings the answer back.

It opens no data and imports no torch: Flower starts a process for every message, and the coordinator's bundle may
replace this very file. In one process (a simulation, a test) it calls the agent directly.
"""

from __future__ import annotations

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from common.tasks import Answer
from common.transport import content_of, request_of

app = ClientApp()


@app.train()
@app.query()
@app.evaluate()
def relay(message: Message, context: Context) -> Message:
    """Carry one task to the agent and its answer back."""
    from client.hosting import answer  # brings the agent, and torch; only a relay that hosts an agent pays for that

    try:
        content = content_of(answer(request_of(message), context))
    except Exception:  # its text would travel, and might hold what no text may hold
        content = content_of(Answer("failed", ""))
    return Message(content, reply_to=message)
