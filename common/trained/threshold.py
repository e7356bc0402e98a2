"""The threshold that a run fixed for a model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from common.strategies import SOURCE
from common.trained.key import Key

_DECIMALS = 3  # of a threshold, as sites use it


def threshold_of(results: pd.DataFrame, key: Key, site: str) -> float | None:
    """Give the threshold that a run fixed for a model, or None where it fixed none.

    Parameters
    ----------
    site : str
        Where the model is used: sources choose one each, and what they chose together is their mean by validation
        encounters, which is what targets are told.
    """
    same = (results["embedding"] == key.embedding) & (results["seed"] == key.seed) & (results["sources"] == key.sources)
    names: Sequence[str] = [key.strategy] if key.target or key.strategy != SOURCE else [SOURCE, "direct"]
    rows = results[same & results["strategy"].isin(names) & results["threshold"].notna()]
    here = rows[rows["site"] == (key.target or site)]
    told = rows[rows["strategy"] != SOURCE]
    at_home = rows[(rows["split"] == "validation") & (rows["n"] > 0)]
    if len(here):
        value = float(here["threshold"].iloc[0])
    elif len(told):
        value = float(told["threshold"].iloc[0])
    elif len(at_home):
        value = float((at_home["threshold"] * at_home["n"]).sum() / at_home["n"].sum())
    else:
        return None
    return round(value, _DECIMALS)
