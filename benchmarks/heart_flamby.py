"""`python -m benchmarks.heart_flamby`: FLamby's logistic regressions made again, and what its FedAvg owes to scaling.

Its protocol, from its repository: 13 inputs; a linear layer; pooled, Adam at 0.001 for 50 passes in batches of 4;
FedAvg, 15 rounds of 100 steps of 4 at each hospital, SGD at 0.001, weighted by patients. Inputs are scaled by mean and
spread of the training patients: each hospital's own for FedAvg and for the hospitals' tests, everybody's for the pooled
model and for the pooled test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.heart_cohort import FLAMBY, HOSPITALS, LABEL, PART, TEST, cohort

SEEDS = (42, 43, 44, 45, 46)


@dataclass(frozen=True)
class Patients:
    """FLamby's 740: labels (N, 1), inputs (N, 13) scaled in its two ways, and who is where."""

    labels: Tensor
    own: Tensor
    common: Tensor
    hospital: NDArray[np.str_]
    test: NDArray[np.bool_]


def read(data: Path) -> Patients:
    table = cohort(data)
    table = table[table[FLAMBY]]
    names = ["id", "hospital", LABEL, PART, FLAMBY]
    inputs = pd.get_dummies(table.drop(columns=names), columns=["cp", "restecg"], drop_first=True).astype(float)
    test, hospital = np.array(table[PART] == TEST), np.array(table["hospital"], dtype=str)

    def scaled(by: pd.DataFrame, what: pd.DataFrame) -> pd.DataFrame:
        return (what - by.mean()) / (by.std() + 1e-9)

    own = pd.concat([scaled(inputs[(hospital == h) & ~test], inputs[hospital == h]) for h in HOSPITALS])
    frames = (table[[LABEL]], own.loc[inputs.index], scaled(inputs[~test], inputs))
    labels, own_scale, common = (torch.tensor(frame.to_numpy(), dtype=torch.float32) for frame in frames)
    return Patients(labels, own_scale, common, hospital, test)


def fit(model: nn.Linear, inputs: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer, steps: int) -> None:
    """Take steps of batches of 4, pass after pass."""
    left: list[Tensor] = []
    for _ in range(steps):
        left = left or [*torch.split(torch.randperm(len(inputs)), 4)]
        chosen = left.pop(0)
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(model(inputs[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def pooled(patients: Patients, seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    model, train = nn.Linear(13, 1), ~patients.test
    steps = 50 * -(-int(train.sum()) // 4)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001)
    fit(model, patients.common[train], patients.labels[train], optimiser, steps)
    return model


def fedavg(patients: Patients, inputs: Tensor, seed: int, rounds: int) -> nn.Linear:
    torch.manual_seed(seed)
    model = nn.Linear(13, 1)
    for _ in range(rounds):
        sums = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
        for hospital in HOSPITALS:
            here = (patients.hospital == hospital) & ~patients.test
            local = nn.Linear(13, 1)
            local.load_state_dict(model.state_dict())
            fit(local, inputs[here], patients.labels[here], torch.optim.SGD(local.parameters(), lr=0.001), 100)
            for name, value in local.state_dict().items():
                sums[name] += value * (here.sum() / (~patients.test).sum())
        model.load_state_dict(sums)
    return model


def accuracy(model: nn.Linear, inputs: Tensor, patients: Patients, hospital: str | None = None) -> float:
    """Give the accuracy on the test patients of a hospital, or on all 254."""
    chosen = patients.test if hospital is None else patients.test & (patients.hospital == hospital)
    called = model(inputs[chosen]) > 0
    return float((called == (patients.labels[chosen] == 1)).double().mean())


def main() -> None:
    torch.set_num_threads(1)
    p = read(Path(os.environ["SITEBRIDGE_DATA"]))
    rows = []
    for seed in SEEDS:
        everybody, theirs = pooled(p, seed), fedavg(p, p.own, seed, 15)
        rows.append({
            "pooled (published 0.795)": accuracy(everybody, p.common, p),
            "FedAvg on own scales, tested on the common one (published 0.748)": accuracy(theirs, p.common, p),
            "the same, tested on own scales": accuracy(theirs, p.own, p),
            "FedAvg on the common scale": accuracy(fedavg(p, p.common, seed, 15), p.common, p),
            "the same, 100 rounds": accuracy(fedavg(p, p.common, seed, 100), p.common, p),
        })  # fmt: skip
    for name, mean in pd.DataFrame(rows).mean().items():
        print(f"| {name} | {mean:.3f} |")


if __name__ == "__main__":
    main()
