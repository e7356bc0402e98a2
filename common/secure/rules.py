"""Which federations can be aggregated securely, and how many sites a sum needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

LEAST = 3  # sites in a sum; of two, each subtracts its own and has the other's
MOST = 100  # sites, for which the sums of `common.secure.fixed` cannot overflow
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


def faults(name: str, noise: bool, sources: Sequence[Sequence[str]]) -> list[str]:
    """Give why a federation cannot be aggregated securely; none where it can.

    Parameters
    ----------
    name : str
        Of the aggregation.
    noise : bool
        Whether the coordinator adds noise.
    sources : sequence of sequence of str
        Of each direction.
    """
    found = []
    if name not in MEANS:
        found.append(
            f"aggregation.secure: {name!r} compares the sites' updates, and a secure sum hides them; expected one of "
            f"{', '.join(MEANS)}"
        )
    if noise:
        found.append(
            "aggregation.secure: aggregation.noise clips each site's update, and a secure sum hides them; noise has to "
            "be added at the sites"
        )
    for group in {tuple(names) for names in sources}:
        if not LEAST <= len(group) <= MOST:
            found.append(
                f"aggregation.secure: sources {', '.join(group)}: {len(group)}; expected {LEAST} to {MOST}: each of "
                "two sites finds the other's update by subtracting its own from the sum"
            )
    found += [_overlap(a, b) for a, b in combinations(sorted({tuple(sorted(g)) for g in sources}), 2) if {*a} & {*b}]
    return found


def _overlap(a: Sequence[str], b: Sequence[str]) -> str:
    return (
        f"aggregation.secure: sources {', '.join(a)} and {', '.join(b)} share sites: of the first round, which begins "
        "alike, one sum could be subtracted from the other; give each a federation, and a seed, of its own"
    )
