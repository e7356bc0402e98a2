"""What noise is worth: the epsilon of charges together, and the noise that a training needs.

By privacy loss distributions, as Google's ``dp-accounting`` computes them: rounded so that epsilon is never too small,
closer than Renyi's divergence (RDP), and for samples and whole cohorts alike. Two neighbouring cohorts differ in one
patient, whose encounters are all there or all replaced by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from common.errors import ConfigError

_INTERVAL = (
    1e-3  # of the grid of privacy losses: a tenth gives an epsilon smaller by 0.01 at most, in ten times the time
)
_LEAST, _MOST = 0.2, 1000.0  # noise multipliers
_CLOSE = 1e-3  # of a noise multiplier, relatively
_BEYOND = 400.0  # squared mu, an epsilon of some 280: not worth the hours that a grid so wide may take


@dataclass(frozen=True)
class Charge:
    """Some releases of sums over patients, each with Gaussian noise.

    Attributes
    ----------
    rate : float
        Probability that a patient is drawn into a sum, (0, 1].
    noise : float
        Standard deviation of the noise over the most that one patient adds (L2 norm).
    steps : int
        Releases.
    """

    rate: float
    noise: float
    steps: int


def epsilon_of(charges: Iterable[Charge], delta: float) -> float:
    """Give the epsilon of charges together; infinity where it is far beyond any that protects.

    Raises
    ------
    ConfigError
        The extra is not installed.
    """
    charges, whole = list(charges), None
    if sum(_squared_mu(charge) for charge in charges) > _BEYOND:
        return math.inf
    for charge in charges:
        part = _one_step(charge.rate, charge.noise).self_compose(charge.steps)
        whole = part if whole is None else whole.compose(part)
    return 0.0 if whole is None else float(whole.get_epsilon_for_delta(delta))


@lru_cache(maxsize=256)
def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Give the least noise, within a thousandth, by which releases cost no more than epsilon.

    Raises
    ------
    ConfigError
        There is none up to 1000; or see `epsilon_of`.
    """

    def costs(noise: float) -> float:
        return epsilon_of([Charge(rate, noise, steps)], delta)

    low, high = _LEAST, 1.0
    while costs(high) > epsilon:
        low, high = high, 2 * high
        if high > _MOST:
            raise ConfigError(f"epsilon {epsilon:g} over {steps} steps needs more noise than {_MOST:g}")
    while high > low * (1 + _CLOSE):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if costs(middle) > epsilon else (low, middle)
    return high


def _squared_mu(charge: Charge) -> float:
    """Give about what charges cost, mu squared of Gaussian differential privacy (Bu et al. 2020, arXiv 1911.11607)."""
    whole = charge.noise**-2
    return charge.steps * min(whole, charge.rate**2 * math.expm1(min(whole, 700.0)))


@lru_cache(maxsize=256)
def _one_step(rate: float, noise: float) -> Any:
    """Give the privacy loss distribution of one release."""
    try:
        from dp_accounting.pld import privacy_loss_distribution as losses
    except ImportError:
        raise ConfigError("differential privacy needs the extra: pip install 'sitebridge[privacy]'") from None
    return losses.from_gaussian_mechanism(noise, value_discretization_interval=_INTERVAL, sampling_prob=rate)
