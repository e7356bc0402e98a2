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
from common.strategies import STRATEGIES
from study.cells import Bench, Cell
from study.config import Study
from study.scoring import Row

CLASSES = ".classes.csv"  # end of the name of a part's file with each class or label


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
    cell and seed. Of several classes or labels the former are what `study.scoring.Tested` keeps, and there is
    ``NAME.classes.csv`` with a row for each cell, seed and class. ``NAME.csv`` is last: a part that has it is whole.

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
    rows: list[Row] = []
    classes: list[Row] = []
    arrays: dict[str, NDArray[Any]] = {}
    for cell in bench.cells(part.source, part.targets, study.sizes):
        tested = bench.tested(cell.target)
        arrays |= tested.kept(cell.target)
        arrays[f"{cell.target}|{cell.size}|{cell.strategy}"] = tested.scores(cell.scores)
        scored = tested.scored(cell.scores, cell.thresholds)
        for seed, (figures, each) in zip(study.seeds, scored, strict=True):
            keys = _keys(part, cell) | {"seed": seed}
            rows.append(keys | figures)
            classes += [keys | of_one for of_one in each]
        yield
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_atomically(folder / f"{part.name}.npz", content.getvalue())
    if classes:
        write_atomically(folder / f"{part.name}{CLASSES}", pd.DataFrame(classes).to_csv(index=False))
    write_atomically(folder / f"{part.name}.csv", pd.DataFrame(rows).to_csv(index=False))


def _keys(part: Part, cell: Cell) -> Row:
    """Name a cell."""
    keys = {**asdict(part), "target": cell.target, "size": cell.size, "strategy": cell.strategy}
    keys["source"] = part.source or ""
    del keys["targets"]
    return keys


def read(folder: Path, study: Study, end: str = ".csv") -> pd.DataFrame:
    """Put the rows of every part together, in the order of the study; `end` is of the files' names."""
    files = [folder / f"{part.name}{end}" for part in parts_of(study)]
    texts = {"size": str, "class": str}  # a name may be digits
    tables = [pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=texts) for file in files]
    return pd.concat(tables, ignore_index=True).fillna({"source": ""})
