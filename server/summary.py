"""The table that a person reads at the end of a run."""

from __future__ import annotations

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
    table = groups[means].mean()
    table["seeds_sd"] = groups["auroc"].std()
    table["seeds"] = groups["seed"].nunique()
    table = table.reset_index()
    table["_rank"] = table["strategy"].map({name: rank for rank, name in enumerate(ORDER)})
    keys = ["embedding", "site", "sources", "_rank"]
    return table.sort_values(keys, kind="stable", ignore_index=True).drop(columns="_rank")


def render(summary: pd.DataFrame, title: str) -> Table:
    """Lay the summary out for a terminal."""
    table = Table(title=title, title_justify="left")
    for heading in ("embedding", "site", "strategy", "from"):
        table.add_column(heading)
    for heading in ("n", "AUROC", "95 % interval", "sd, seeds", "AUPRC", "Brier", "cal. slope", "sens.", "spec."):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for row in summary.itertuples():
        if previous not in (None, (row.embedding, row.site)):
            table.add_section()
        previous = (row.embedding, row.site)
        interval = f"{row.auroc_low:.3f}-{row.auroc_high:.3f}" if pd.notna(row.auroc_low) else ""
        count = f"{row.n:.0f}" if pd.notna(row.n) else "too few"
        figures = [row.auroc, row.seeds_sd, row.auprc, row.brier, row.calibration_slope, row.sensitivity, row.specificity]
        shown = [f"{value:.3f}" if pd.notna(value) else "" for value in figures]
        table.add_row(row.embedding, row.site, row.strategy, row.sources, count, shown[0], interval, *shown[1:])
    return table
