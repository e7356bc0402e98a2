"""What a site asks for the privacy of its patients, and the most that they may spend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.config import Name
from common.toml import Declared

Metrics = Literal["noised", "withheld", "exact"]


class PrivacyPolicy(Declared):
    """The section ``[policy.privacy]`` of a site file.

    Attributes
    ----------
    epsilon, delta : float
        The most that all releases about the site's patients may cost each of them, over all runs and federations.
    required : bool
        Whether training without noise is refused.
    metrics : {"noised", "withheld", "exact"}
        How scores of validation and test encounters leave: from counts with noise, charged to the same budget; not at
        all; or as they are, beside the budget.
    metrics_noise : float
        Standard deviation of the noise of each count, in patients.
    population : str or None
        What the patients are called in the ledger; site files that name one population share its budget. None for
        those of the site's own files of encounters.
    """

    epsilon: float = Field(ge=0.01, le=100, allow_inf_nan=False)
    delta: float = Field(default=1e-5, ge=1e-12, lt=0.01)
    required: bool = True
    metrics: Metrics = "noised"
    metrics_noise: float = Field(default=10.0, ge=0.5, le=1000, allow_inf_nan=False)
    population: Name | None = None
