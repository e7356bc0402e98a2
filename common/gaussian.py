"""What Gaussian noise is worth as differential privacy, exactly.

A release of numbers that change by at most `mu` standard deviations of their noise (L2 norm) when one patient's
encounters are exchanged. Several releases of the same patients are one of ``sqrt(sum(mu ** 2))`` (Dong, Roth and Su
2022, Journal of the Royal Statistical Society B 84:3, corollary 3.3).
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm

_LEAST, _MOST = 1e-6, 1e3  # of mu and of epsilon


def delta_of(epsilon: float, mu: float) -> float:
    """Give the delta of a release at an epsilon (Balle and Wang 2018, arXiv 1805.06530, theorem 8)."""
    if mu == 0:
        return 0.0
    inner = math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))
    return max(float(norm.cdf(mu / 2 - epsilon / mu) - inner), 0.0)


def mu_of(epsilon: float, delta: float) -> float:
    """Give the largest mu that costs at most epsilon at delta: their analytic calibration."""
    found = float(brentq(lambda mu: delta_of(epsilon, mu) - delta, _LEAST, _MOST, xtol=1e-12, rtol=1e-14))
    return found if delta_of(epsilon, found) <= delta else math.nextafter(found * (1 - 1e-12), 0.0)


def epsilon_of(mu: float, delta: float) -> float:
    """Give the epsilon of releases at a delta; infinity beyond 1000."""
    if delta_of(0.0, mu) <= delta:
        return 0.0
    if delta_of(_MOST, mu) > delta:
        return math.inf
    return float(brentq(lambda epsilon: delta_of(epsilon, mu) - delta, 0.0, _MOST, xtol=1e-12, rtol=1e-14))
