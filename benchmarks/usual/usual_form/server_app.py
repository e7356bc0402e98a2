"""The ServerApp: Flower's FedAvg, as its documentation starts it."""

from __future__ import annotations

import json
import time

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from usual_form.task import new_model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the configured rounds over both nodes."""
    config = context.run_config
    strategy = FedAvg(fraction_evaluate=float(config["evaluate"]))

    def tell(number: int, _: ArrayRecord) -> MetricRecord | None:
        with open(str(config["told"]), "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": "step", "text": f"round {number}", "at": time.time()}) + "\n")
        return None

    model = new_model(int(config["dimension"]))
    rounds = int(config["rounds"])
    strategy.start(grid=grid, initial_arrays=ArrayRecord(model.state_dict()), num_rounds=rounds, evaluate_fn=tell)
