"""The numbers that a site may send beside weights: their names, and the range that each must lie in."""

from __future__ import annotations

import re

from common.choice import CHOICE
from common.errors import WireError
from common.likeness import NOISE

METRICS = (
    "auroc",
    "auprc",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "sensitivity",
    "specificity",
)
HITS = ("sensitivity", "specificity")  # need a threshold
CURVE = "curve"  # counts of encounters and of positives by ranges of probability, see `common.curve`
LEAVING = (*METRICS, CURVE)  # what a site's policy decides about
WEIGHT = "num-examples"  # the figure by which Flower's strategies weigh a site

_FITTED = ("intercept", "slope")  # of a recalibration
_METRIC = "|".join((*METRICS, "n", "positive"))
_NAME = r"(\.[a-z0-9][a-z0-9-]{0,39})?"  # of a class or label, where there are several
_FIGURE = re.compile(
    rf"num-examples|threshold|(came\.)?(validation|test){_NAME}\.(?P<metric>{_METRIC})(\.low|\.high)?"
    rf"|recalibration{_NAME}\.(?P<fitted>intercept|slope)"
    rf"|{re.escape(NOISE)}|{CHOICE}|{CHOICE}\.(?P<candidate>[a-z0-9-]+)\.(behind|error)"
    rf"|test{_NAME}\.{CURVE}\.\d\d\.(?P<count>from|n|positive)"
)
_COUNT, _ANY = (0.0, 1e9), (-1e6, 1e6)
_RANGES = {WEIGHT: (1.0, 1e9), NOISE: (0.0, 1e3), CHOICE: (0.0, 100.0), "n": _COUNT, "positive": _COUNT, "": (0.0, 1.0)}
_RANGES |= dict.fromkeys((*METRICS[3:5], *_FITTED), _ANY)


def metric_of(figure: str) -> str:
    """Give the metric of a figure such as ``came.validation.auroc``, ``test.brier.low`` or ``test.curve.03.n``."""
    if figure.startswith(f"{CHOICE}."):
        return METRICS[0]  # a difference of two
    parts = [part for part in figure.split(".") if part not in ("low", "high")]
    return CURVE if CURVE in parts else parts[-1]


def name_of(figure: str) -> str:
    """Give the class or label that a figure such as ``test.rsv.auroc.low`` is about; empty for all of them together."""
    stem, *rest = figure.removeprefix("came.").split(".")
    about_all = stem not in ("validation", "test", "recalibration") or rest[0] in (*LEAVING, "n", "positive", *_FITTED)
    return "" if about_all else rest[0]


def check_figure(name: str, value: object) -> None:
    """Check one number that a site sends.

    Raises
    ------
    WireError
        The name is not on our list, or the value is not a finite number in its range.
    """
    match = _FIGURE.fullmatch(name)
    if match is None:
        raise WireError("a figure that is not on the list")
    kind = match["metric"] or match["count"] or match["fitted"] or name
    low, high = _RANGES.get(kind, _RANGES[""])
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise WireError(f"figure {name} is not a number from {low:g} to {high:g}")
