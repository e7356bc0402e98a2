"""The table that a person reads at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from common.config import Federation
from common.strategies import POOLED, SOURCE, STRATEGIES

ORDER = [SOURCE, *STRATEGIES, POOLED]


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Average test figures over seeds.

    Returns
    -------
    DataFrame
        One row for each embedding, strategy, sources and site: auroc, auroc_low and auroc_high (mean over seeds of the
        patients' 95 % interval), seeds_sd (spread over seeds), auprc, brier, calibration_intercept,
        calibration_slope, sensitivity, specificity, n, seeds, withheld (metrics that the site keeps back).
    """
    test = results[results["split"] == "test"]
    means = ["auroc", "auroc_low", "auroc_high", "auprc", "brier", "calibration_intercept", "calibration_slope"]
    means += ["sensitivity", "specificity", "n"]
    test = test.astype(dict.fromkeys(means, "float64")).assign(
        withheld=test["withheld"].astype(object).fillna("").astype(str)
    )
    groups = test.groupby(["embedding", "strategy", "sources", "site"], sort=False)
    table = groups[means].agg(_mean_of_all)
    table["seeds_sd"] = groups["auroc"].std()
    table["seeds"] = groups["seed"].nunique()
    table["withheld"] = groups["withheld"].agg(lambda names: " ".join(sorted(set(" ".join(names).split()))))
    return _in_order(table.reset_index())


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Put a site's rows together, from the sources' model to that which was tuned most."""
    table["_rank"] = table["strategy"].map({name: rank for rank, name in enumerate(ORDER)})
    keys = ["embedding", "site", "sources", "_rank"]
    return table.sort_values(keys, kind="stable", ignore_index=True).drop(columns="_rank")


def _mean_of_all(values: pd.Series[float]) -> float:
    """Average; a mean over those seeds of which a site was free to tell would not be one over the seeds."""
    return float(values.mean(skipna=False))


def summarise_classes(classes: pd.DataFrame) -> pd.DataFrame:
    """Average the test figures of each class or label over seeds.

    Returns
    -------
    DataFrame
        One row for each embedding, strategy, sources, site and class: all figures of classes.csv, and seeds_sd, the
        spread of auroc over seeds.
    """
    keys = ["embedding", "site", "strategy", "sources", "class"]
    test = classes[classes["split"] == "test"]
    figures = [name for name in test.columns if name not in [*keys, "seed", "split", "note"]]
    groups = test.astype(dict.fromkeys(figures, "float64")).groupby(keys, sort=False)
    table = groups[figures].agg(_mean_of_all)
    table["seeds_sd"] = groups["auroc"].std()
    return _in_order(table.reset_index())


def render(summary: pd.DataFrame, title: str) -> Table:
    """Lay the summary out for a terminal."""
    table = Table(title=title, title_justify="left")
    for heading in ("embedding", "site", "strategy", "from"):
        table.add_column(heading)
    for heading in ("n", "AUROC", "95 % interval", "sd, seeds", "AUPRC", "Brier", "cal. slope", "sens.", "spec."):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for row in summary.to_dict(orient="records"):
        if previous not in (None, (row["embedding"], row["site"])):
            table.add_section()
        previous = (row["embedding"], row["site"])
        table.add_row(*(str(row[key]) for key in ("embedding", "site", "strategy", "sources")), *_figures(row))
    return table


def _figures(row: dict[Hashable, Any]) -> list[str]:
    """Give a row's numbers as they are shown; what a site keeps back is said, for it is neither zero nor unknown."""
    withheld = row["withheld"].split()
    if pd.isna(row["n"]):
        return ["too few", *[""] * 8]

    def shown(key: str) -> str:
        return f"{row[key]:.3f}" if pd.notna(row[key]) else "withheld" if key in withheld else ""

    interval = f"{row['auroc_low']:.3f}-{row['auroc_high']:.3f}" if pd.notna(row["auroc_low"]) else ""
    rest = ("seeds_sd", "auprc", "brier", "calibration_slope", "sensitivity", "specificity")
    return [f"{row['n']:.0f}", shown("auroc"), interval, *map(shown, rest)]


def render_classes(results: pd.DataFrame) -> Table:
    """Lay out how each class or label does against the rest, mean over seeds."""
    keys, shown = ["embedding", "site", "strategy", "sources", "class"], ["positive", "auroc", "auprc", "brier"]
    means = summarise_classes(results.fillna({"sources": ""}))
    table = Table(title="Each against the rest", title_justify="left")
    for heading in ("embedding", "site", "strategy", "from", "class or label"):
        table.add_column(heading)
    for heading in ("n of it", "AUROC", "AUPRC", "Brier"):
        table.add_column(heading, justify="right", no_wrap=True)
    for names, row in zip(means[keys].to_numpy(), means[shown].to_numpy(), strict=True):
        count = "withheld" if np.isnan(row[0]) else f"{row[0]:.0f}"
        table.add_row(*names, count, *("" if np.isnan(value) else f"{value:.3f}" for value in row[1:]))
    return table


def render_sources(weighed: pd.DataFrame) -> Table:
    """Lay out how much each of several sources counted, mean over seeds."""
    keys = ["embedding", "strategy", "sources", "site"]
    means = weighed.groupby(keys, sort=False)[["weight", "squared_distance"]].mean().reset_index()
    table = Table(title="What each source counted", title_justify="left")
    for heading in ("embedding", "strategy", "from", "site"):
        table.add_column(heading)
    for heading in ("weight", "squared distance to the target"):
        table.add_column(heading, justify="right")
    for *names, weight, distance in means.to_numpy().tolist():
        table.add_row(*map(str, names), f"{weight:.3f}", "" if np.isnan(distance) else f"{distance:.4f}")
    return table


def show(folder: Path, federation: Federation) -> None:
    """Print a run's table and where the rest is."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""], dtype={"sources": str})
    table["sources"] = table["sources"].fillna("")
    seeds = ", ".join(map(str, federation.seeds))
    title = f"{federation.name}: test encounters, mean over seeds {seeds}"
    if not federation.model.binary:
        title += f"; means over {federation.model.predicts}"
    console.print(render(summarise(table), title))
    if not federation.model.binary:
        named = {"class": str, "sources": str}  # names may be digits
        console.print(
            render_classes(pd.read_csv(folder / "classes.csv", keep_default_na=False, na_values=[""], dtype=named))
        )
    if table["withheld"].notna().any():
        console.print(
            "withheld: kept back by the site, by its policy or for the fewness of its patients", soft_wrap=True
        )
    if (folder / "sources.csv").exists():
        console.print(render_sources(pd.read_csv(folder / "sources.csv", keep_default_na=False, na_values=[""])))
    said = json.loads((folder / "results.json").read_text())
    for line in said["absent"]:
        console.print(f"went on without: {line}", soft_wrap=True, markup=False)
    for line in said.get("far", []):
        console.print(f"far from the other sources (updates.csv): {line}", soft_wrap=True, markup=False)
    console.print(f"run folder: {folder}", soft_wrap=True)
