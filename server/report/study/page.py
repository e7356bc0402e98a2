"""Puts a study's parts together into one HTML file."""

from __future__ import annotations

from common.strategies import STRATEGIES
from server.report.about import flat
from server.report.render import render
from server.report.study import comparisons, curves, tables
from server.report.study.folder import StudyFolder
from server.report.trace import Row, Table


def page(study: StudyFolder) -> str:
    """Give the whole file.

    Raises
    ------
    ConfigError
        The folder is not that of a complete study, or a file in it is damaged.
    """
    name = study.content["name"]
    shown = comparisons.shown_rows(study.comparisons)
    strategies = dict.fromkeys(study.summary["strategy"])
    return render(
        "study.html",
        name=name,
        facts=tables.facts(study),
        meanings={each: STRATEGIES[each].meaning for each in strategies if each in STRATEGIES},
        overrides=_overrides(study),
        learning=curves.learning(study),
        targets=curves.targets(study),
        grids=tables.grids(study),
        over=study.over,
        predicts=study.shape.predicts,
        each_class=tables.each_class(study),
        every_cell=tables.every_cell(study),
        wins=comparisons.wins(study),
        differences=comparisons.differences(study),
        left_out=len(study.comparisons) > len(shown),
        level=comparisons.LEVEL,
    )


def _overrides(study: StudyFolder) -> Table:
    rows = [Row([key, value]) for key, value in flat(study.content.get("overrides", {}))]
    return Table("Keys of a federation file, laid over each preset", ["key", "value"], rows, 2)
