"""Which federations can be aggregated securely, and how many sites a sum needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.config import Aggregation

LEAST = 3  # sites in a sum; of two, each subtracts its own and has the other's
MOST = 100  # sites, for which the sums of `common.secure.fixed` cannot overflow
_SINGLE = {
    "fedper": "hands each source's own head to the coordinator",
    "ensemble": "hands each source's own model to the coordinator",
}
MEANS = ("FedAvg", "FedAvgM", "FedProx", "FedAdam", "FedYogi", "FedAdagrad")  # need the mean of the updates alone


def threshold(sites: int) -> int:
    """Give how many of the sites must be left for a sum to be opened: more than two thirds of them, at least 3.

    Notes
    -----
    Of n sites, with a threshold t, let c help a coordinator that tells different sites different things about who
    dropped out. At most one set of sites can be opened while 2 t > n + c (Bonawitz et al. 2017, section 6.2); more than
    two thirds bears c < n / 3.
    """
    return 2 * sites // 3 + 1


def shares_needed(sites: int) -> int:
    """Give how many sites' shares open what one site has shared.

    Notes
    -----
    As many as must be left; but of three sites nobody can be gone, so that no mask between two is ever opened, whatever
    a coordinator says. There two sites' shares of the own masks are enough, and the third may die once it has sent its
    update.
    """
    return threshold(sites) if sites > LEAST else LEAST - 1


def faults(aggregation: Aggregation, strategies: Sequence[str], sources: Sequence[Sequence[str]]) -> list[str]:
    """Give why a federation cannot be aggregated securely; none where it can.

    Parameters
    ----------
    strategies : sequence of str
        Of the federation.
    sources : sequence of sequence of str
        Of each direction.
    """
    found = [f"aggregation.secure: {why}" for why in _of_aggregation(aggregation)]
    found += [
        f"aggregation.secure: strategy {name!r} {_SINGLE[name]}; a secure sum hides that; leave out one of them"
        for name in strategies
        if name in _SINGLE
    ]
    for group in {tuple(names) for names in sources}:
        if not LEAST <= len(group) <= MOST:
            found.append(
                f"aggregation.secure: sources {', '.join(group)}: {len(group)}; expected {LEAST} to {MOST}: each of "
                "two sites finds the other's update by subtracting its own from the sum"
            )
    found += [_overlap(a, b) for a, b in combinations(sorted({tuple(sorted(g)) for g in sources}), 2) if {*a} & {*b}]
    return found


def _of_aggregation(aggregation: Aggregation) -> list[str]:
    found = []
    if aggregation.name not in MEANS:
        found.append(
            f"{aggregation.name!r} compares the sites' updates, and a secure sum hides them; expected one of "
            f"{', '.join(MEANS)}"
        )
    if aggregation.noise is not None:
        found.append(
            "aggregation.noise clips each site's update, and a secure sum hides them; [privacy] adds noise at the sites"
        )
    if aggregation.norm_bound is not None:
        found.append(
            "aggregation.norm_bound cuts each site's update, and a secure sum hides them; a site's policy.max_change "
            "is a bound at the site"
        )
    if aggregation.weights == "likeness":
        found.append(
            'aggregation.weights is "likeness": the coordinator would say how much each update counts, and with zeros '
            "it would find a single one; expected size or equal"
        )
    return found


def _overlap(a: Sequence[str], b: Sequence[str]) -> str:
    return (
        f"aggregation.secure: sources {', '.join(a)} and {', '.join(b)} share sites: of the first round, which begins "
        "alike, one sum could be subtracted from the other; give each a federation, and a seed, of its own"
    )
