"""The hostile coordinator's side: sends its plan to every node, and keeps all that comes back."""

import json
import time
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()
_SECONDS = 240.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Send the plan, wait for the loot, write it down."""
    plan = Path(str(context.run_config["plan"])).read_text()
    deadline = time.monotonic() + _SECONDS
    while not (nodes := list(grid.get_nodes())) and time.monotonic() < deadline:
        time.sleep(0.5)
    content = RecordDict({"config": ConfigRecord({"plan": plan})})
    messages = [Message(content, node.node_id, "query") for node in nodes]
    loot = []
    for reply in grid.send_and_receive(messages, timeout=_SECONDS):
        found = {"error": str(reply.error)} if reply.has_error() else json.loads(reply.content["config"]["loot"])
        loot.append(found)
    path = Path(str(context.run_config["loot"]))
    path.with_suffix(".part").write_text(json.dumps(loot))
    path.with_suffix(".part").rename(path)
