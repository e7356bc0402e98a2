"""`python -m benchmarks.heart`: every table of docs/heart.md, from SITEBRIDGE_DATA; what was run is not run again.

FLamby's published accuracies are those of its repository, flamby/results/results_benchmark_fed_heart_disease,
heart_seed42.csv to heart_seed46.csv (commits a422b61 and f553c7a): means over the five seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import permutations
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.heart_cohort import HOSPITALS, cohort, write
from benchmarks.heart_scores import FEDERATED, OWN, POOLED, Tested, joint, less, of_flamby, regression, together
from benchmarks.markdown import head, row
from common.config import load_federation
from common.statistics.intervals import Band
from server.results import JOURNAL
from server.simulate import resume, run
from study import run as study_run
from study import summary
from study.config import load_study
from study.parts import parts_of

# A model's accuracy at each hospital's test patients, in the order of HOSPITALS, and on all 254.
FLAMBY = {
    "cleveland": (0.746, 0.760, 0.725, 0.658, 0.784),
    "hungarian": (0.746, 0.746, 0.525, 0.498, 0.727),
    "switzerland": (0.481, 0.391, 0.725, 0.671, 0.483),
    "va": (0.577, 0.467, 0.800, 0.702, 0.611),
    FEDERATED: (0.731, 0.719, 0.650, 0.640, 0.748),
    POOLED: (0.783, 0.764, 0.750, 0.644, 0.795),
}
NAMES = {h: f"trained at {h} alone" for h in HOSPITALS} | {
    OWN: "each hospital its own model",
    FEDERATED: "federated (FedAvg), all four",
    POOLED: "pooled, all four",
}
STRATEGIES = ("direct", "recalibrate", "linear", "full")

Scored = dict[str, dict[tuple[str, str], Tested]]  # by embedding, then by model and hospital
Key = tuple[str | None, str, str]  # source, target, strategy


def main(
    out: Annotated[Path, typer.Option(help="Folder for the federation's run and the study.")] = Path("runs/heart"),
    configs: Annotated[Path, typer.Option(help="Folder of heart.toml; the table goes beside it.")] = Path("configs"),
    jobs: Annotated[int, typer.Option(min=1, help="Processes of the study.")] = 2,
) -> None:
    """Run the federation and the study, if they are not there, and print the tables as Markdown."""
    patients = prepare(configs)
    scored = federation(out.resolve() / "federation", configs, patients)
    studied = study(out.resolve() / "study", configs, jobs)
    for embedding, cells in scored.items():
        cells |= single(studied[embedding], patients)
    tables = (on_all_tests(scored, patients), by_hospital(scored), apart(scored), from_to(scored), pairs(studied))
    for table in tables:
        print(*table, sep="\n")


def prepare(configs: Path) -> pd.DataFrame:
    """Write the sites' table beside the configurations; give the patients in its order."""
    data = Path(os.environ["SITEBRIDGE_DATA"])
    write(data, configs.parent / "tables" / "heart.csv")
    return cohort(data)


def federation(folder: Path, configs: Path, patients: pd.DataFrame) -> Scored:
    """Run the federation unless it was, and score its models on FLamby's test patients."""
    path = configs / "heart.toml"
    checked = load_federation(path)
    if (folder / JOURNAL).is_dir():
        resume(folder)
    elif not (folder / "results.csv").exists():
        run(checked, path, folder)
    return {name: joint(checked, path, folder, name, patients) for name in checked.embeddings}


def study(folder: Path, configs: Path, jobs: int) -> dict[str, dict[Key, Tested]]:
    """Run the study unless it was; give the test patients of every cell, by embedding."""
    checked = load_study(configs / "studies" / "heart.toml")
    study_run.run(checked, folder, jobs)
    summary.write(folder, checked)
    found: dict[str, dict[Key, Tested]] = {name: {} for name in checked.embeddings}
    for part in parts_of(checked):
        kept = np.load(folder / study_run.CELLS / f"{part.name}.npz")
        for name in kept.files:
            target, *rest = name.split("|")
            if rest != ["labels"]:
                cell = Tested(kept[f"{target}|labels"].astype(np.int64), kept[name].astype(np.float64))
                found[part.embedding][part.source, target, rest[1]] = cell
    return found


def single(cells: dict[Key, Tested], patients: pd.DataFrame) -> dict[tuple[str, str], Tested]:
    """Give each hospital's own model on FLamby's test patients of every hospital."""
    found = {}
    for target in HOSPITALS:
        for source in HOSPITALS:
            cell = cells[None, target, "local"] if source == target else cells[source, target, "direct"]
            found[source, target] = of_flamby(cell, patients, target)
    return found | {(OWN, hospital): found[hospital, hospital] for hospital in HOSPITALS}


def whole(cells: dict[tuple[str, str], Tested], model: str) -> Tested:
    """Give a model on the 254 test patients of all hospitals."""
    return together([cells[model, hospital] for hospital in HOSPITALS])


def on_all_tests(scored: Scored, patients: pd.DataFrame) -> Iterable[str]:
    """Say how every model does on the 254 test patients, beside FLamby's."""
    heads = [f"{embedding}, {figure}" for figure in ("accuracy", "AUROC") for embedding in scored]
    yield from head("on all 254 test patients", "FLamby, accuracy", *heads)
    for model, name in NAMES.items():
        found = [whole(cells, model) for cells in scored.values()]
        published = f"{FLAMBY[model][-1]:.3f}" if model in FLAMBY else ""
        yield row(name, published, *(_with(t.accuracy()) for t in found), *(_with(t.auroc()) for t in found))
    blank = [""] * (len(scored) - 1)
    for name, cut in (("as FLamby has them", False), ("as the sites' grades", True)):
        found_one = regression(patients, cut)
        figures = (_with(found_one.accuracy()), *blank, _with(found_one.auroc()), *blank)
        yield row(f"logistic regression, pooled, inputs {name}", "", *figures)


def by_hospital(scored: Scored) -> Iterable[str]:
    """Say how the two joint models do at each hospital."""
    yield from head("accuracy at", "n", *(f"{m}, {e}" for m in (FEDERATED, POOLED) for e in [*scored, "FLamby"]))
    for place, hospital in enumerate(HOSPITALS):
        cells: list[str] = []
        for model in (FEDERATED, POOLED):
            cells += [_with(found[model, hospital].accuracy()) for found in scored.values()]
            cells.append(f"{FLAMBY[model][place]:.3f}")
        yield row(hospital, str(len(next(iter(scored.values()))[POOLED, hospital].labels)), *cells)


def apart(scored: Scored) -> Iterable[str]:
    """Say how far the federated model is from the pooled one, on all test patients."""
    yield from head("federated less pooled", "accuracy", "AUROC")
    for embedding, cells in scored.items():
        yield row(embedding, *(_with(band, "+.3f") for band in less(whole(cells, FEDERATED), whole(cells, POOLED))))


def from_to(scored: Scored) -> Iterable[str]:
    """Give the accuracy of each hospital's own model at each hospital, FLamby's in brackets."""
    for embedding, cells in scored.items():
        yield from head(f"{embedding}: trained at, tested at", *HOSPITALS)
        for source in HOSPITALS:
            figures = [f"{_with(cells[source, hospital].accuracy())} [{FLAMBY[source][place]:.3f}]"
                       for place, hospital in enumerate(HOSPITALS)]  # fmt: skip
            yield row(source, *figures)


def pairs(studied: dict[str, dict[Key, Tested]]) -> Iterable[str]:
    """Give every pair of hospitals by strategy, AUROC and accuracy, on all test patients of the target."""
    for embedding, cells in studied.items():
        for figure in ("AUROC", "accuracy"):
            yield from head(f"{embedding}, {figure}: from", "to", "n", "local", *STRATEGIES)
            for source, target in permutations(HOSPITALS, 2):
                found = [cells[None, target, "local"], *(cells[source, target, name] for name in STRATEGIES)]
                figures = [one.auroc() if figure == "AUROC" else one.accuracy() for one in found]
                yield row(source, target, str(len(found[0].labels)), *map(_with, figures))


def _with(band: Band, form: str = ".3f") -> str:
    """Write a figure and its interval."""
    if not np.isfinite(band.value):
        return "none"
    interval = f" ({band.low:{form}} to {band.high:{form}})" if np.isfinite(band.low) else ""
    return f"{band.value:{form}}{interval}"


if __name__ == "__main__":
    typer.run(main)
