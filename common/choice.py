"""What a target says of the strategy that it chose, as figures that travel and as words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_UNTOLD = "with too few validation encounters to compare by, or a comparison that is withheld"
_BY_HOME = "with too few validation encounters to compare by: the sources' model does {} worse here than at home"
MARGIN = 0.005  # AUROC: being lighter is worth no more
CHOICE = "choice"  # the figure: place of the chosen strategy among the candidates


@dataclass(frozen=True)
class Verdict:
    """What was chosen, and why.

    Attributes
    ----------
    chosen : int
        Place among the candidates.
    behind, errors : sequence of float
        Of each candidate: distance of its AUROC to the highest, on encounters that it was not trained on, and the
        standard error of that distance; 0 for the best itself. Where validation encounters are too few, of the first
        candidate alone: how much worse it does than where it was learnt. Empty where that is not known either.
    """

    chosen: int
    behind: Sequence[float] = ()
    errors: Sequence[float] = ()


def figures_of(names: Sequence[str], verdict: Verdict) -> dict[str, float]:
    """Give a verdict as figures; a standard error that does not exist is left out."""
    figures = {CHOICE: float(verdict.chosen)}
    for name, behind, error in zip(names, verdict.behind, verdict.errors, strict=False):
        figures |= {f"{CHOICE}.{name}.behind": behind, f"{CHOICE}.{name}.error": error}
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def reason(names: Sequence[str], figures: Mapping[str, float]) -> str:
    """Say which candidate was chosen and how far the others were behind the best; empty where nothing was chosen."""
    chosen = figures.get(CHOICE, -1.0)
    if chosen not in range(len(names)):
        return ""
    told = [name for name in names if f"{CHOICE}.{name}.behind" in figures]
    return f"chose {names[int(chosen)]}, {_why(told, figures)}"


def _why(told: Sequence[str], figures: Mapping[str, float]) -> str:
    if not told:
        return _UNTOLD
    if len(told) == 1:
        behind, error = (figures.get(f"{CHOICE}.{told[0]}.{what}", math.nan) for what in ("behind", "error"))
        return _BY_HOME.format(f"{behind:.3f} (error {error:.3f})")
    lines = ", ".join(_distance(name, figures) for name in told)
    return f"the lightest within one standard error of the best, and {MARGIN:g}: {lines}"


def _distance(name: str, figures: Mapping[str, float]) -> str:
    behind, error = figures[f"{CHOICE}.{name}.behind"], figures.get(f"{CHOICE}.{name}.error", math.nan)
    return f"{name} best" if behind == 0 and error == 0 else f"{name} {behind:.3f} behind (error {error:.3f})"
