"""A federation over the built-in pair, and what an audit of it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from attacks.bench import Bench, bench_of
from attacks.config import Audit, plan
from attacks.noise import trainer_of
from attacks.pool import Pool
from attacks.trainers import Trainer
from client.preparation import prepare
from client.training import State
from common.config import load_federation
from server.simulate import run as simulate

Make = Callable[..., tuple[Bench, Audit]]
Write = Callable[..., Path]


@pytest.fixture
def make(write: Write) -> Make:
    """Set up an audit of Salt Lake; keys of the federation file may be replaced."""

    def made(trainer: Trainer | None = None, sizes: tuple[int, ...] = (100,), models: int = 8, **changes: Any) -> Any:
        path = write(**{"embeddings": ["one-hot"], **changes})
        audit = plan(load_federation(path), path, "salt-lake", sizes, models)
        return bench_of(audit, trainer or trainer_of(audit.federation.privacy)), audit

    return made


@pytest.fixture
def whole() -> Callable[[Bench], Pool]:
    """Give a pool whose one site is the site itself, every encounter in its part and its order."""

    def made(bench: Bench) -> Pool:
        splits = prepare(bench.population.site, bench.embedding).splits
        train, held = len(splits["train"]), len(splits["validation"])
        places = np.arange(train + held)
        trained = (places < train)[None]
        return Pool(bench.population, places, np.arange(train + held, len(bench.population)), trained, ~trained)

    return made


@pytest.fixture
def simulated(write: Write, tmp_path: Path) -> Callable[[dict[str, Any], str], State]:
    """Give the weights of one phase of a run of the federation itself."""

    def ran(changes: dict[str, Any], name: str) -> State:
        path = write(**changes)
        simulate(load_federation(path), path, tmp_path / "run")
        (found,) = [path for path in (tmp_path / "run" / "weights").glob("*.safetensors") if name in path.name]
        return load_file(found)

    return ran
