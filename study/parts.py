"""A study cut into parts that are made alone, each in a file of its own: a study that was cut off goes on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from common.files import write_atomically
from common.metrics import Integers, score
from common.statistics.delong import areas
from common.strategies import STRATEGIES
from study.cells import Bench, Cell
from study.config import Study

METRICS = ("auroc", "auprc", "brier", "calibration_intercept", "calibration_slope", "sensitivity", "specificity")


@dataclass(frozen=True)
class Part:
    """The cells of one preset and embedding that begin with one source's model, or untrained."""

    preset: str
    embedding: str
    source: str | None
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.preset}_{self.embedding}_{self.source or 'local'}"


def parts_of(study: Study) -> list[Part]:
    """Give the parts, in the order of the study file."""
    alone = any(not STRATEGIES[name].from_sources for name in study.strategies)
    sources: dict[str | None, list[str]] = {None: study.targets} if alone else {}
    for direction in study.directions:
        known = sources.setdefault(direction.sources[0], [])
        known += [target for target in direction.targets if target not in known]
    return [
        Part(preset, embedding, source, tuple(targets))
        for preset in study.presets
        for embedding in study.embeddings
        for source, targets in sources.items()
    ]


def cells_in(study: Study, part: Part) -> int:
    """Count the cells of a part."""
    fitting = [name for name in study.strategies if STRATEGIES[name].from_sources == (part.source is not None)]
    return len(fitting) * len(study.sizes) * len(part.targets)


def make(study: Study, parts: Sequence[Part], folder: Path) -> Iterator[Part]:
    """Make the cells of parts that share preset and embedding, and write each one's two files; yields after each cell.

    ``NAME.npz`` holds the test probabilities of every cell, float32 (S, N), and the labels; ``NAME.csv`` a row for each
    cell and seed. The probabilities come first, so that a part with a table is whole.

    Raises
    ------
    ConfigError, CohortError, TableError
        A site's file, cohort or table cannot be used.
    """
    torch.set_num_threads(1)
    sites = study.load_sites()
    wanted = {name for part in parts for name in (part.source, *part.targets)}
    needed = {name: site for name, site in sites.items() if name in wanted}
    bench = Bench.of(study.federation(parts[0].preset), parts[0].embedding, sites, needed)
    for part in parts:
        for _ in _make(study, part, bench, folder):
            yield part


def _make(study: Study, part: Part, bench: Bench, folder: Path) -> Iterator[None]:
    rows: list[dict[str, object]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for cell in bench.cells(part.source, part.targets, study.sizes):
        labels = bench.data[cell.target].splits["test"].labels.numpy()
        arrays[f"{cell.target}|labels"] = labels.astype(np.int8)
        arrays[f"{cell.target}|{cell.size}|{cell.strategy}"] = cell.scores.astype(np.float32)
        rows += _rows(part, cell, labels, study.seeds)
        yield
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_atomically(folder / f"{part.name}.npz", content.getvalue())
    write_atomically(folder / f"{part.name}.csv", pd.DataFrame(rows).to_csv(index=False))


def _rows(part: Part, cell: Cell, labels: Integers, seeds: list[int]) -> Iterator[dict[str, object]]:
    """Score each seed's model; AUROC with DeLong's interval over the target's test encounters."""
    keys = {**asdict(part), "target": cell.target, "size": cell.size, "strategy": cell.strategy}
    keys["source"] = part.source or ""
    del keys["targets"]
    intervals = areas(labels, cell.scores).estimates()
    for seed, scores, threshold, interval in zip(seeds, cell.scores, cell.thresholds, intervals, strict=True):
        found = score(labels, scores, threshold)
        figures = {name: found[name].value for name in METRICS if name in found}
        counts = {"n": len(labels), "positive": int(labels.sum())}
        yield {**keys, "seed": seed, **counts, **figures, "auroc_low": interval.low, "auroc_high": interval.high}


def read(folder: Path, study: Study) -> pd.DataFrame:
    """Put the rows of every part together, in the order of the study."""
    files = [folder / f"{part.name}.csv" for part in parts_of(study)]
    tables = [pd.read_csv(file, keep_default_na=False, na_values=[""], dtype={"size": str}) for file in files]
    return pd.concat(tables, ignore_index=True).fillna({"source": ""})
