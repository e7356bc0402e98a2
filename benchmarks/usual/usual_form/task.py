"""Model, data, training, scoring. The arithmetic is Sitebridge's fast one: the form around it is what is compared."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common.model import ConceptCNN
from common.shape import ModelShape

BATCH = 64
Data = dict[str, Tensor]


def load_data(path: str) -> Data:
    """Read a site's prepared arrays."""
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def new_model(dimension: int, table: Tensor | None = None) -> ConceptCNN:
    """Build the model over a table; without one, for its weights alone."""
    return ConceptCNN(torch.zeros(1, dimension) if table is None else table, ModelShape())


def train(model: ConceptCNN, data: Data, seed: int) -> float:
    """Train one epoch; give the mean loss."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3, fused=True)
    labels, losses = data["train.labels"], []
    for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):
        loss = functional.cross_entropy(model(data["train.tokens"][chosen], generator), labels[chosen])
        optimiser.zero_grad(set_to_none=False)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.inference_mode()
def score(model: ConceptCNN, data: Data) -> tuple[float, float]:
    """Give loss and accuracy on validation encounters."""
    logits, labels = model(data["validation.tokens"]), data["validation.labels"]
    accuracy = (logits.argmax(dim=1) == labels).float().mean()
    return functional.cross_entropy(logits, labels).item(), accuracy.item()
