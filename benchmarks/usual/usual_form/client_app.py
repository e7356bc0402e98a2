"""The ClientApp: imports torch, loads the site's arrays, trains an epoch or scores; in a new process each time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from usual_form.task import load_data, new_model, score, train

app = ClientApp()


def stamp(direction: str, context: Context) -> None:
    """Note when work begins and ends, as Sitebridge's audit log does."""
    line = {"direction": direction, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
    with open(str(context.node_config["stamps"]), "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@app.train()
def train_message(message: Message, context: Context) -> Message:
    """Train the model that came, and send it back."""
    stamp("in", context)
    torch.set_num_threads(1)
    data = load_data(str(context.node_config["arrays"]))
    model = new_model(data["table"].shape[1], data["table"])
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    loss = train(model, data, int(message.content["config"]["server-round"]))
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(data["train.labels"])})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    stamp("out", context)
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate_message(message: Message, context: Context) -> Message:
    """Score the model that came."""
    stamp("in", context)
    torch.set_num_threads(1)
    data = load_data(str(context.node_config["arrays"]))
    model = new_model(data["table"].shape[1], data["table"])
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    loss, accuracy = score(model, data)
    counted = len(data["validation.labels"])
    metrics = MetricRecord({"eval_loss": loss, "eval_acc": accuracy, "num-examples": counted})
    stamp("out", context)
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
