"""`python -m benchmarks.grid FOLDER`: the tables and pictures of docs/flu-lab.md, from configs/studies/flu-lab.toml."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.grid_picture import picture
from benchmarks.markdown import head, row
from common.files import write_atomically
from common.statistics.comparisons import adjusted, compare
from common.statistics.delong import areas
from server.report.study.folder import ALL, StudyFolder, in_order
from study.run import CELLS

SINGLE = (
    "local",
    "direct",
    "recalibrate",
    "linear",
    "full",
)  # what auto is held against; beside them what it may choose besides
SIZES = (500, 10000)
LEVEL = 0.05


def main(
    folder: Annotated[Path, typer.Argument(help="Of the study.")],
    pictures: Annotated[Path | None, typer.Option(help="Folder for the learning curves, one SVG a preset.")] = None,
) -> None:
    """Print the tables as Markdown, and draw the curves."""
    study = StudyFolder(folder)
    table = study.summary
    for preset in dict.fromkeys(table["preset"]):
        rows = table[table["preset"] == preset]
        print(f"\n# {preset}")
        tables = (over_embeddings(rows), *(by_embedding(rows, size) for size in SIZES), behind_the_best(rows))
        for lines in (*tables, embeddings_apart(folder, rows), strategies_apart(study, str(preset))):
            print(*lines, sep="\n")
    if pictures is not None:
        for preset, drawn in picture(study).items():
            write_atomically(pictures / f"flu-lab-{preset}.svg", drawn)


def over_embeddings(rows: pd.DataFrame) -> Iterable[str]:
    """Give AUROC by strategy and size, mean over embeddings, with the lowest and the highest."""
    sizes = list(dict.fromkeys(rows["size"]))
    yield from head("from", "strategy", *(f"{int(size):,}" for size in sizes))
    for (source, strategy), cells in rows.groupby(["source", "strategy"], sort=False):
        found = [cells[cells["size"] == size]["auroc"] for size in sizes]
        yield row(str(source), f"`{strategy}`", *(f"{a.mean():.3f} ({a.min():.3f}-{a.max():.3f})" for a in found))


def by_embedding(rows: pd.DataFrame, size: int) -> Iterable[str]:
    """Give AUROC by strategy and embedding, with its interval, at one size."""
    names = list(dict.fromkeys(rows["embedding"]))
    yield from head(f"from, {size:,} at the target", "strategy", *names)
    for (source, strategy), cells in rows[rows["size"] == str(size)].groupby(["source", "strategy"], sort=False):
        found = cells.set_index("embedding").loc[names]
        figures = [f"{a:.3f} ({low:.3f}-{high:.3f})" for a, low, high in found[["auroc", "low", "high"]].to_numpy()]
        yield row(str(source), f"`{strategy}`", *figures)


def behind_the_best(rows: pd.DataFrame) -> Iterable[str]:
    """Say how far `auto` and each strategy are behind the best of `SINGLE` in hindsight: mean and most over cells."""
    wide = with_local(rows)
    best = wide[list(SINGLE)].max(axis=1)
    sizes = in_order(wide["size"])
    yield from head("behind the best of five", "all", *(f"{int(size):,}" for size in sizes), "more than 0.02 behind")
    for name in [name for name in ("auto", "half-linear", "half-way", *SINGLE) if name in wide]:
        lost = best - wide[name]
        found = [lost, *(lost[wide["size"] == size] for size in sizes)]
        figures = [f"{one.mean():.4f} (most {one.max():.4f})" for one in found]
        yield row(f"`{name}`", *figures, f"{int((lost > 0.02).sum())} of {len(lost)}")


def with_local(rows: pd.DataFrame) -> pd.DataFrame:
    """Give a row for each cell that begins at a source, a column for each strategy, `local` among them."""
    keys = ["embedding", "source", "size"]
    wide = rows[rows["source"] != ""].pivot(index=keys, columns="strategy", values="auroc").reset_index()
    alone = rows[rows["strategy"] == "local"].set_index(["embedding", "size"])["auroc"]
    return wide.assign(local=[alone[key] for key in zip(wide["embedding"], wide["size"], strict=True)])


def embeddings_apart(folder: Path, rows: pd.DataFrame) -> Iterable[str]:
    """Compare embeddings with each other on the same patients; Holm over all pairs of a preset."""
    preset, names = rows["preset"].iloc[0], list(dict.fromkeys(rows["embedding"]))
    cells = rows[rows["size"] == rows["size"].iloc[-1]][["source", "strategy"]].drop_duplicates()
    found = []
    for source, strategy in cells.itertuples(index=False):
        kept = [np.load(folder / CELLS / f"{preset}_{name}_{source or 'local'}.npz") for name in names]
        scores = [one[f"target|{rows['size'].iloc[-1]}|{strategy}"].astype(np.float64) for one in kept]
        places = {name: range(n * len(scores[0]), (n + 1) * len(scores[0])) for n, name in enumerate(names)}
        several = areas(kept[0]["target|labels"].astype(np.int64), np.concatenate(scores))
        found.append(compare(several, places).assign(source=source, strategy=strategy))
    every = pd.concat(found, ignore_index=True)
    every["p_adjusted"] = adjusted(every["p"].to_numpy())
    yield from head(f"from, {int(rows['size'].iloc[-1]):,} at the target", "strategy", "who is better than whom")
    for (source, strategy), pairs in every.groupby(["source", "strategy"], sort=False):
        yield row(str(source), f"`{strategy}`", _better(pairs))


def _better(pairs: pd.DataFrame) -> str:
    """Name those that are better, and than how many."""
    told = pairs[pairs["p_adjusted"] < LEVEL]
    winners = np.where(told["difference"] > 0, told["first"], told["second"])
    losers = np.where(told["difference"] > 0, told["second"], told["first"])
    found = pd.Series(losers).groupby(winners).agg(", ".join)
    return "; ".join(f"{name} than {than}" for name, than in found.items()) or "none told apart"


def strategies_apart(study: StudyFolder, preset: str) -> Iterable[str]:
    """Count in how many cells one strategy is better than another, and worse, after Holm's correction."""
    rows = study.comparisons[study.comparisons["preset"] == preset]
    sizes = [size for size in dict.fromkeys(rows["size"]) if size != ALL]
    told = rows["p_adjusted"] < LEVEL
    yield from head("better in, worse in, of 18", *(f"{int(size):,}" for size in sizes))
    for first, second in combinations(("direct", "linear", "full", "local"), 2):
        cells = []
        for size in sizes:
            one = (rows["size"] == size) & told
            ahead = sum(_count(rows[one], *pair, sign) for pair, sign in (((first, second), 1), ((second, first), -1)))
            after = sum(_count(rows[one], *pair, sign) for pair, sign in (((first, second), -1), ((second, first), 1)))
            cells.append(f"{ahead}, {after}")
        yield row(f"`{first}` against `{second}`", *cells)


def _count(rows: pd.DataFrame, first: str, second: str, sign: int) -> int:
    pair = rows[(rows["first"] == first) & (rows["second"] == second)]
    return int((pair["difference"] * sign > 0).sum())


if __name__ == "__main__":
    typer.run(main)
