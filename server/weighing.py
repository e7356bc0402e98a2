"""How much each source counts where the sources' weights are joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from common.config import Aggregation
from common.errors import ConfigError
from common.figures import WEIGHT
from common.shape import ModelShape
from common.tasks import Answer
from server.likeness import Near

UNWEIGHTED = ("FedMedian", "FedTrimmedAvg", "Krum", "Bulyan")  # of Flower's strategies: all sources count alike


def check_weights(aggregation: Aggregation) -> None:
    """Check that a strategy weighs its sources where the configuration says how.

    Raises
    ------
    ConfigError
        It does not.
    """
    if aggregation.weights != "size" and aggregation.name in UNWEIGHTED:
        raise ConfigError(
            f"aggregation.weights is {aggregation.weights!r}, but {aggregation.name} does not weigh sources; remove it"
        )


def counted(aggregation: Aggregation, answers: Mapping[str, Answer], near: Mapping[str, Near]) -> dict[str, Answer]:
    """Give sources' answers with what each counts in the place of its training encounters.

    "size": the encounters themselves (McMahan et al. 2017). "equal": 1. "likeness": the encounters, times the source's
    factor of `server.likeness`.
    """
    if aggregation.weights == "size" or (aggregation.weights == "likeness" and not near):
        return dict(answers)
    factors = {
        site: 1.0 if aggregation.weights == "equal" else answer.figures[WEIGHT] * near[site].factor
        for site, answer in answers.items()
    }
    return {
        site: replace(answer, figures={**answer.figures, WEIGHT: factors[site]}) for site, answer in answers.items()
    }


def shares(aggregation: Aggregation, counts: Mapping[str, Answer]) -> dict[str, float]:
    """Give each source's share of what `counted` gave; none where sources are not weighed."""
    if aggregation.name in UNWEIGHTED:
        return {}
    total = sum(answer.figures[WEIGHT] for answer in counts.values())
    return {site: answer.figures[WEIGHT] / total for site, answer in counts.items()}


def prevalences(shape: ModelShape, at_home: Mapping[str, Answer], by: Mapping[str, float]) -> tuple[float, ...] | None:
    """Give the prevalence of each class or label at the sources, from counts of their validation encounters.

    Parameters
    ----------
    by : mapping of str to float
        Each source's share; without any, they count alike.

    Returns
    -------
    tuple of float or None
        Of the positive class, where there are two. None where no source tells of one of them.
    """
    found = [_prevalence(f"validation.{name}." if name else "validation.", at_home, by) for name in _asked(shape)]
    told = [each for each in found if each is not None and 0 < each < 1]
    return tuple(told) if len(told) == len(found) else None


def _asked(shape: ModelShape) -> tuple[str, ...]:
    return ("",) if shape.binary else shape.names


def _prevalence(stem: str, at_home: Mapping[str, Answer], by: Mapping[str, float]) -> float | None:
    told = {
        site: answer.figures[f"{stem}positive"] / answer.figures[f"{stem}n"]
        for site, answer in at_home.items()
        if f"{stem}positive" in answer.figures and answer.figures.get(f"{stem}n", 0) > 0
    }
    total = sum(by.get(site, 1.0) for site in told)
    return sum(by.get(site, 1.0) * value for site, value in told.items()) / total if total else None
