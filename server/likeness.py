"""How like the target each source's patients are, and how much it counts for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common import __version__
from common.config import Federation
from common.errors import WireError
from common.figures import WEIGHT
from common.likeness import LIKENESS, MEAN, NOISE, NUMBERS
from common.tasks import Answer, Work
from server.courier import Courier, message_to
from server.exchange import Errand
from server.greeting import Origin, Space

_LONGEST = 1e3  # of what comes; without noise a mean is no longer than 1


@dataclass(frozen=True)
class Near:
    """A source, as seen from the target.

    Attributes
    ----------
    distance : float
        Squared, of the two means, less what noise adds to it; not below 0.
    factor : float
        By which the source's encounters count; 1 of the nearest.
    """

    distance: float
    factor: float


def likeness(
    courier: Courier, federation: Federation, origin: Origin, space: Space
) -> dict[tuple[str, ...], dict[str, Near]]:
    """Ask every source and target of a run for its mean; give how near the sources of each direction are.

    Raises
    ------
    SiteError
        A site does not tell; without all of them nothing can be weighed.
    """
    sites = list(dict.fromkeys(site for d in federation.directions for site in (*d.sources, *d.targets)))
    work = Work(
        version=__version__,
        **vars(origin),
        strategy=LIKENESS,
        embedding=space.embedding,
        model=federation.model,
        training=None,
        seed=federation.seeds[0],  # nothing is drawn by it
        likeness=federation.aggregation.likeness,
    )
    messages = {site: message_to(courier.nodes[site], work.model_dump_json()) for site in sites}
    errand = Errand(LIKENESS, space.embedding.name, 0)
    answers = courier.ask(messages, errand, _check, at_least=len(sites))
    return {tuple(d.sources): _near(d.sources, d.targets[0], answers) for d in federation.directions}


def _near(sources: Sequence[str], target: str, answers: Mapping[str, Answer]) -> dict[str, Near]:
    sites = [*sources, target]
    means = np.stack([answers[site].arrays[MEAN].astype(np.float64) for site in sites])
    noises = np.array([answers[site].figures[NOISE] for site in sites])
    distances, factors = weigh(means, noises)
    return {
        site: Near(float(distance), float(factor))
        for site, distance, factor in zip(sources, distances, factors, strict=True)
    }


def weigh(means: NDArray[np.float64], noises: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give each source's squared distance to the target, and its factor.

    Parameters
    ----------
    means : ndarray
        float64 (K + 1, M), of K sources and, last, the target.
    noises : ndarray
        float64 (K + 1,), standard deviation of the noise in each number.

    Notes
    -----
    A Gaussian kernel on mean embeddings (Blanchard, Lee and Scott 2011, Advances in Neural Information Processing
    Systems 24): the factor is ``exp(-(d - min d) / T)``. T is the median of the squared distances between all sites
    (the median heuristic: Garreau et al. 2017, arXiv 1707.07269), with the noise in it: the more there is, the more
    alike the factors. Of d the noise is taken off, M times the sum of both variances on average, since the smaller
    sites have more of it.
    """
    squared = ((means[:, None] - means) ** 2).sum(axis=2)
    median = float(np.median(squared[np.triu_indices(len(means), 1)]))
    noise = means.shape[1] * (noises[:-1] ** 2 + noises[-1] ** 2)
    distances = np.maximum(squared[:-1, -1] - noise, 0.0)
    if median == 0:
        return distances, np.ones(len(distances))
    return distances, np.exp(-(distances - distances.min()) / median)


def _check(_site: str, answer: Answer) -> None:
    mean = answer.arrays.get(MEAN)
    if set(answer.arrays) != {MEAN} or mean is None or mean.shape != (NUMBERS,):
        raise WireError(f"expected one array {MEAN} of {NUMBERS} numbers")
    if not np.isfinite(mean).all() or np.linalg.norm(mean) > _LONGEST:
        raise WireError(f"array {MEAN} is not finite, or longer than any mean")
    if not {WEIGHT, NOISE} <= set(answer.figures):
        raise WireError("figures of a mean are missing")
