"""A federation over the built-in pair, and what an audit of it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attacks.bench import Bench, bench_of
from attacks.config import Audit, plan
from attacks.trainers import Plain, Trainer
from common.config import load_federation

Make = Callable[..., tuple[Bench, Audit]]


@pytest.fixture
def make(write: Callable[..., Path]) -> Make:
    """Set up an audit of Salt Lake; keys of the federation file may be replaced."""

    def made(trainer: Trainer | None = None, sizes: tuple[int, ...] = (100,), models: int = 8, **changes: Any) -> Any:
        path = write(**{"embeddings": ["one-hot"], **changes})
        audit = plan(load_federation(path), path, "salt-lake", sizes, models)
        return bench_of(audit, trainer or Plain()), audit

    return made
