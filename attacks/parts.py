"""An audit cut into cases that are made alone, each in a file of its own: an audit that was cut off goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from attacks.bench import bench_of
from attacks.config import BATCHES, Audit, Case
from attacks.measures import Row, attribute_of, membership, quality
from attacks.pool import draw
from attacks.reconstruction import reconstruction
from attacks.released import release
from attacks.trainers import Trainer
from attacks.updates import OF
from common.files import write_atomically

STEPS = 3  # of a case, for the progress bar


def make(audit: Audit, case: Case, trainer: Trainer, folder: Path) -> Iterator[str]:
    """Make the rows of a case and write them at the end; yields what was done, `STEPS` times.

    Raises
    ------
    ConfigError, CohortError, TableError
        A site's file, cohort or table cannot be used.
    """
    torch.set_num_threads(1)
    bench = bench_of(audit, trainer)
    pool = draw(bench.population, case.size, audit.models, bench.seed)
    released = release(bench, case.strategy, case.sources, pool)
    about = {"defence": trainer.defence, "strategy": case.strategy, "sources": len(case.sources), "size": case.size}
    about |= quality(bench, pool, released)
    yield f"{case.name}: models"
    rows = list(membership(bench, pool, released))
    rows.append(attribute_of(bench, pool, released, bench.population.find(audit.finding)))
    yield f"{case.name}: membership, attribute"
    if _reconstructs(audit, case):
        for batch in (*(batch for batch in BATCHES if batch <= pool.trained[0].sum()), None):
            rows += reconstruction(bench, case.strategy, case.sources, pool, batch)
    content = [about | row for row in rows]
    write_atomically(folder / f"{case.name}.json", json.dumps([_plain(row) for row in content], indent=1) + "\n")
    yield f"{case.name}: reconstruction"


def _reconstructs(audit: Audit, case: Case) -> bool:
    """Whether the change of the weights can be taken apart: one training by SGD, and a kernel of width 1."""
    training = audit.federation.training if audit.site in case.sources else audit.federation.tuning
    return case.strategy in OF and training.optimiser == "sgd" and audit.federation.model.kernel == 1


def _plain(row: Row) -> Row:
    """Give a row for JSON, which has no NaN."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
