"""Learning over target size, where the run says which of its targets are one site at several sizes.

Names prove nothing, so this is drawn only from the file sizes.csv in the run's folder: columns ``site``, ``of`` (the
site that it is, at one size) and ``encounters``.
"""

from __future__ import annotations

import math

import pandas as pd
from markupsafe import Markup

from server.report.folder import RESULTS, records
from server.report.forest import headline, rows_of
from server.report.style import Style, legend, styles
from server.report.svg import Plot, spanning
from server.report.trace import attributes, shown, titled
from server.summary import ORDER

_KEYS = ["embedding", "strategy", "sources", "site"]


def size_plots(
    results: pd.DataFrame, summary: pd.DataFrame, sizes: pd.DataFrame, over: str = ""
) -> tuple[Markup, list[tuple[str, Markup]]]:
    """Draw AUROC by encounters: a panel for each site, embedding and sources, a line for each strategy.

    `over` as in `RunFolder`.
    """
    known = _known(results, summary, sizes)
    names = [name for name in dict.fromkeys([*ORDER, *known["strategy"]]) if name in set(known["strategy"])]
    looks = styles(names)
    panels = []
    y = spanning([*known["lowest"], *known["highest"]], 200, 10)
    for (of, embedding), rows in known.groupby(["of", "embedding"], sort=False):
        for sources in [name for name in dict.fromkeys(rows["sources"]) if name] or [""]:
            chosen = rows[rows["sources"].isin(["", sources])]
            sizes_here = sorted(set(chosen["encounters"]))
            x = spanning([math.log10(size) for size in sizes_here], 50, 330, 0.08)
            plot = Plot(x, y, 340, 236, f"AUROC by encounters of {of}")
            plot.frame(
                "encounters of the target", titled("AUROC", over), x_ticks={math.log10(n): f"{n:,}" for n in sizes_here}
            )
            for name in (name for name in names if name in set(chosen["strategy"])):
                _line(plot, chosen[chosen["strategy"] == name].sort_values("encounters"), looks[name])
            panels.append((f"{of}, {embedding}, {headline(str(sources))}", plot.svg()))
    return (legend(looks), panels) if panels else (Markup(""), [])


def _known(results: pd.DataFrame, summary: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """Give the summary's rows of which there are several sizes, with the lowest and highest seed."""
    seeds = results[results["split"] == "test"].groupby(_KEYS)["auroc"].agg(lowest="min", highest="max").reset_index()
    known = summary.merge(sizes, on="site").merge(seeds, on=_KEYS).dropna(subset=["auroc"])
    several = known.groupby(["of", "embedding", "strategy", "sources"])["encounters"].transform("nunique") > 1
    return known[several] if len(known) else known


def _line(plot: Plot, rows: pd.DataFrame, style: Style) -> None:
    """Draw one strategy: mean over seeds, the band of all seeds, and a mark for each size."""
    x = [math.log10(size) for size in rows["encounters"]]
    plot.band(x, rows["lowest"].tolist(), rows["highest"].tolist(), style)
    plot.line(list(zip(x, rows["auroc"].tolist(), strict=True)), style, marks=False)
    for at, row in zip(x, records(rows), strict=True):
        trace = attributes("auroc", rows_of(row), "mean", file=RESULTS)
        said = f"{row['strategy']}, {row['encounters']:,} encounters: {shown(row['auroc'])}"
        mark = style.mark_at(plot.x(at), plot.y(row["auroc"]))
        whole = '<g{} data-shown="{}"><title>{}</title>{}</g>'
        plot.drawn.append(Markup(whole).format(trace, shown(row["auroc"]), said, mark))
