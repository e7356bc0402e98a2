"""The table that a person reads at the end of a run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
from rich.table import Table

ORDER = ["source", "local", "direct", "linear", "full", "pooled"]


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Average test figures over seeds.

    Returns
    -------
    DataFrame
        One row for each embedding, strategy, sources and site: auroc, auroc_low and auroc_high (mean over seeds of the
        patients' 95 % interval), seeds_sd (spread over seeds), auprc, brier, calibration_intercept,
        calibration_slope, sensitivity, specificity, n, seeds.
    """
    test = results[results["split"] == "test"]
    means = ["auroc", "auroc_low", "auroc_high", "auprc", "brier", "calibration_intercept", "calibration_slope"]
    means += ["sensitivity", "specificity", "n"]
    test = test.astype(dict.fromkeys(means, "float64"))
    groups = test.groupby(["embedding", "strategy", "sources", "site"], sort=False)
    table = groups[means].agg(_mean_of_all)
    table["seeds_sd"] = groups["auroc"].std()
    table["seeds"] = groups["seed"].nunique()
    table = table.reset_index()
    table["_rank"] = table["strategy"].map({name: rank for rank, name in enumerate(ORDER)})
    keys = ["embedding", "site", "sources", "_rank"]
    return table.sort_values(keys, kind="stable", ignore_index=True).drop(columns="_rank")


def _mean_of_all(values: pd.Series[float]) -> float:
    """Average; a mean over those seeds of which a site was free to tell would not be one over the seeds."""
    return float(values.mean(skipna=False))


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
    """Give a row's numbers as they are shown; a figure that a site may not send is blank."""
    interval = f"{row['auroc_low']:.3f}-{row['auroc_high']:.3f}" if pd.notna(row["auroc_low"]) else ""
    keys = ("seeds_sd", "auprc", "brier", "calibration_slope", "sensitivity", "specificity")
    auroc, *rest = (f"{row[key]:.3f}" if pd.notna(row[key]) else "" for key in ("auroc", *keys))
    return [f"{row['n']:.0f}" if pd.notna(row["n"]) else "too few", auroc, interval, *rest]
