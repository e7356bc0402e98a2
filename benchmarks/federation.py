"""Two sites, ten rounds: `sitebridge simulate` against the same arithmetic in a bare loop.

Both start with files on disk and end with weights that score best on validation encounters and with scores of them; the
bare loop reads its arrays from one file and knows neither sites' files nor messages, checks, accounts or intervals.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tomli_w
import torch
from torch import Tensor, nn

from benchmarks.timing import Comparison, compare
from client.compact import CompactCNN, basis_of
from client.hospitals.generate import write_hospitals
from client.preparation import prepare
from client.site_file import load_site
from client.training import Encounters, validation_auroc
from common.config import load_federation
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape
from common.tasks import Embedding
from server.simulate import run

SITES = ("allegheny", "salt-lake")
ROUNDS, BATCH = 10, 64
TRAINING = {"rounds": ROUNDS, "epochs": 1, "batches": "all", "patience": "endless", "batch_size": BATCH}


def federations(folder: Path, runs: int) -> Comparison:
    """Compare, on one thread: 5,000 encounters of 71 tokens at each of two sites, MiniLM's table, ten rounds."""
    torch.set_num_threads(1)
    write_hospitals(folder, 5000, 215)
    path = folder / "federation.toml"
    content = {
        "name": "ten-rounds",
        "seeds": [215],
        "embeddings": ["minilm"],
        "strategies": ["direct"],
        "intervals": 100,
        "sites": {name: {"file": f"{name}.toml"} for name in SITES},
        "directions": [{"sources": list(SITES)}],
        "training": TRAINING,
    }
    path.write_text(tomli_w.dumps(content))
    save_arrays(folder)
    federation = load_federation(path)

    def simulate() -> None:
        shutil.rmtree(folder / "run", ignore_errors=True)
        run(federation, path, folder / "run")

    return compare(
        "two sites, ten rounds",
        ("sitebridge simulate", simulate),
        ("bare loop", lambda: bare(folder / "arrays.npz")),
        runs,
    )


def save_arrays(folder: Path) -> None:
    """Write what the bare loop trains on."""
    embedding = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
    arrays = {}
    for name in SITES:
        data = prepare(load_site(folder / f"{name}.toml"), embedding)
        arrays[f"{name}.table"] = data.table.numpy()
        for split, encounters in data.splits.items():
            arrays[f"{name}.{split}.tokens"] = encounters.tokens.numpy()
            arrays[f"{name}.{split}.labels"] = encounters.labels.numpy()
    np.savez(folder / "arrays.npz", **arrays)


def bare(path: Path) -> None:
    """Federated averaging in one loop."""
    arrays = {name: torch.from_numpy(value) for name, value in np.load(path).items()}
    shape = ModelShape()
    weights = initial_weights(arrays["allegheny.table"].shape[1], shape, 0)
    bases = {name: basis_of(arrays[f"{name}.table"]) for name in SITES}
    best, kept = -1.0, weights
    counts = [len(arrays[f"{name}.train.labels"]) for name in SITES]
    for _ in range(ROUNDS):
        models = []
        for name in SITES:
            model = ConceptCNN(arrays[f"{name}.table"], shape)
            model.load_state_dict(weights)
            compact = CompactCNN(model, bases[name])
            epoch(compact, arrays[f"{name}.train.tokens"], arrays[f"{name}.train.labels"])
            compact.widen_into(model)
            models.append(model.state_dict())
        shares = [count / sum(counts) for count in counts]
        weights = {key: sum(s * m[key] for s, m in zip(shares, models, strict=True)) for key in weights}
        area = float(np.mean([score(arrays, name, "validation", weights) for name in SITES]))
        if area > best:
            best, kept = area, weights
    for name in SITES:
        score(arrays, name, "validation", kept), score(arrays, name, "test", kept)


def epoch(model: CompactCNN, tokens: Tensor, labels: Tensor) -> None:
    """One pass over a site's encounters."""
    model.rest.grad = torch.zeros(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3, fused=True)
    dropout = nn.Dropout(0.5)
    for chosen in torch.randperm(len(labels)).split(BATCH):
        logits = model.linear(dropout(model.features(tokens[chosen])))
        loss = nn.functional.cross_entropy(logits, labels[chosen])
        optimiser.zero_grad(set_to_none=False)
        loss.backward()
        optimiser.step()


def score(arrays: dict[str, Tensor], site: str, split: str, weights: dict[str, Tensor]) -> float:
    """AUROC of weights on one split."""
    model = ConceptCNN(arrays[f"{site}.table"], ModelShape())
    model.load_state_dict(weights)
    encounters = Encounters(arrays[f"{site}.{split}.tokens"], arrays[f"{site}.{split}.labels"])
    return validation_auroc(model, encounters) or 0.0
