"""One epoch of training: the projected table against embedding, Conv1d and max-pool in the usual form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.timing import Comparison, compare
from client.compact import basis_of
from client.training import Encounters, Stage, train_round
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING

ENCOUNTERS, LENGTH, ROWS, DIMENSION, BATCH = 5000, 72, 216, 768, 64


def epochs(runs: int) -> Comparison:
    """Compare, on one thread: 5,000 encounters of 72 tokens, V = 216, D = 768, F = 100, batch 64."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    # three values of each of 72 concepts, as findings have
    values = torch.randint(0, 3, (ENCOUNTERS, LENGTH), generator=generator)
    tokens = (values + 3 * torch.arange(LENGTH)).clamp(1, ROWS - 1).int()
    labels = torch.randint(0, 2, (ENCOUNTERS,), generator=generator)
    table = torch.cat([torch.zeros(1, DIMENSION), torch.randn(ROWS - 1, DIMENSION, generator=generator)])
    return compare(
        "epoch, 5,000 encounters",
        ("Conv1d loop", lambda: usual(table, tokens, labels)),
        ("Sitebridge", lambda: ours(table, tokens, labels)),
        runs,
    )


def usual(table: Tensor, tokens: Tensor, labels: Tensor) -> None:
    """Train an epoch as most would write it."""
    embedding = nn.Embedding.from_pretrained(table, freeze=True, padding_idx=0)
    convolution, linear, dropout = nn.Conv1d(DIMENSION, 100, 1), nn.Linear(100, 2), nn.Dropout(0.5)
    parameters = [*convolution.parameters(), *linear.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3)
    for chosen in torch.randperm(len(labels)).split(BATCH):
        filtered = torch.relu(convolution(embedding(tokens[chosen]).transpose(1, 2)))
        loss = nn.functional.cross_entropy(linear(dropout(filtered.amax(dim=2))), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def ours(table: Tensor, tokens: Tensor, labels: Tensor) -> None:
    """Train an epoch as a site does."""
    shape = ModelShape()
    model = ConceptCNN(table, shape)
    model.load_state_dict(initial_weights(DIMENSION, shape, 0))
    training = Training(
        rounds=1, epochs=1, batch_size=BATCH, optimiser="sgd", learning_rate=0.01, weight_decay=1e-3, dropout=0.5
    )
    split = Encounters(tokens, labels)
    train_round(model, Stage(split, split, training, EVERYTHING, lambda number: number, basis=basis_of(table)), 1)
