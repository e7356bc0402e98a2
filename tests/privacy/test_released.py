"""What is attacked is what a federation releases; and membership in a model that learnt by heart is told, in none not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from client.training import Stage, State
from common.config import load_federation
from common.model import ConceptCNN
from privacy.bench import Bench
from privacy.measures import attribute_of, membership, quality
from privacy.pool import Pool, counts, draw
from privacy.released import COORDINATOR, EVERYONE, release
from privacy.trainers import Plain, Steps
from server.simulate import run as simulate


def whole(bench: Bench) -> Pool:
    """A pool whose one site is the site itself, every encounter in its part and its order."""
    population = bench.population
    parts = len(population.encounters)
    from client.preparation import prepare

    train, held = (len(prepare(population.site, bench.embedding).splits[name]) for name in ("train", "validation"))
    places = np.arange(train + held)
    trained = (places < train)[None]
    return Pool(population, places, np.arange(train + held, parts), trained, ~trained)


def released_by(run: Path, name: str) -> State:
    (found,) = [path for path in (run / "weights").glob("*.safetensors") if name in path.name]
    return load_file(found)


@pytest.mark.parametrize("strategy", ["linear", "full", "half-way", "l2-sp", "layer-wise"])
def test_a_target_gives_what_a_run_of_the_federation_gives(
    make: Any, write: Callable[..., Path], tmp_path: Path, strategy: str
) -> None:
    changes: dict[str, Any] = {"embeddings": ["minilm"], "strategies": [strategy]}
    changes["directions"] = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    bench, _ = make(**changes)
    found = release(bench, strategy, ["allegheny"], whole(bench)).models[0]
    path = write(**changes)
    simulate(load_federation(path), path, tmp_path / "run")
    weights = released_by(tmp_path / "run", strategy)
    for key, values in weights.items():
        assert torch.equal(found[key], values), key
