"""Puts a run's parts together into one HTML file that needs nothing else."""

from __future__ import annotations

from typing import Any

import pandas as pd

from common.strategies import POOLED, SOURCE, STRATEGIES
from server.report import about, card, classes, contributions, course, crossing, performance
from server.report.curves import blocks
from server.report.folder import RunFolder
from server.report.render import render
from server.report.sizes import size_plots
from server.summary import summarise

_ONE = {"classes": "class", "labels": "label"}
_MEANINGS = {name: strategy.meaning for name, strategy in STRATEGIES.items()}
_MEANINGS[SOURCE] = "the model that sources learnt, tested at those sources"
_MEANINGS[POOLED] = "all encounters in one place: a ceiling that only a simulation can show"


def page(run: RunFolder) -> str:
    """Give the whole file.

    Raises
    ------
    ConfigError
        The folder is not that of a run, or a file in it is damaged.
    """
    return render("report.html", **_run(run), **_figures(run), **_course(run))


def _run(run: RunFolder) -> dict[str, Any]:
    """Give what was run, and what did not leave a site."""
    return {
        "name": run.federation.name,
        "over": run.over,
        "predicts": run.federation.model.predicts,
        "complete": run.complete,
        "deployed": bool(run.record),
        "facts": about.facts(run),
        "sites": about.sites(run),
        "spaces": about.spaces(run),
        "settings": about.settings(run.federation),
        "choices": about.choices(run.results),
        "suppressed": about.suppressed(run.results),
        "withheld": about.withheld(run.results),
        "absent": run.absent,
        "meanings": {name: _MEANINGS.get(name, "") for name in dict.fromkeys(run.results["strategy"])},
    }


def _figures(run: RunFolder) -> dict[str, Any]:
    """Give how the models do."""
    plain, over = summarise(run.results), run.over
    summary = performance.extended(run.results, plain)
    auroc = performance.over_all([performance.AUROC], over)
    calibration = performance.over_all(performance.CALIBRATION, over)
    curves = blocks(run.class_curves, run.federation.model.names) if over else blocks(run.curves)
    return {
        "seeds": int(run.results["seed"].nunique()),
        "table": performance.table(summary, over),
        "forests": performance.pictures(summary, auroc),
        "by_seed": performance.by_seed(run.results, over),
        "matrices": performance.matrices(summary),
        "calibration": performance.calibration_table(summary, over),
        "calibration_forests": performance.pictures(summary, calibration),
        "blocks": curves,
        "size_plots": size_plots(run.results, summary, run.sizes, over),
        "models": card.models(run),
        "extremes": card.extremes(summary, over),
        **_each(run, plain),
    }


def _each(run: RunFolder, summary: pd.DataFrame) -> dict[str, Any]:
    """Give each class or label against the rest, where there are several."""
    if run.classes.empty:
        return {"each": None, "untold": None}
    found, one = classes.of_classes(run.classes, summary), _ONE[run.over]
    return {
        "each": classes.table(found, one),
        "each_counts": classes.counts(run.classes, one),
        "each_pictures": classes.pictures(found),
        "each_extremes": classes.extremes(found, run.over),
        "untold": classes.untold(run.classes, one),
    }


def _course(run: RunFolder) -> dict[str, Any]:
    """Give how the run went."""
    found = course.trainings(run.rounds)
    crossed = len(run.exchange) > 0
    return {
        "trainings": course.training_table(found, run.results, run.over),
        "round_plots": course.round_plots(found),
        "attendance": contributions.attendance(run.rounds) if len(run.rounds) else None,
        "missing": contributions.missing(run.rounds),
        "bytes": crossing.bytes_table(run.exchange) if crossed else None,
        "bytes_plot": crossing.bytes_plot(run.exchange) if crossed else "",
    }
