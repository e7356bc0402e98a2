"""What an audit attacks: which site of a federation, at which sizes, under which strategies, with how many models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.config import Aggregation, Federation, Name, SiteName, site_files
from common.errors import ConfigError
from common.strategies import STRATEGIES
from common.toml import Declared

SIZES = (50, 500, 10_000)  # encounters
BATCHES = (1, 8, 32)  # encounters of one step
DIRECT = "direct"
_LONGEST = 80  # characters of the sources' names in a file's
_FEWEST = 10  # encounters of a site


class Case(Declared):
    """A strategy, the sources that learn together, and how many encounters the site has."""

    strategy: str
    sources: tuple[SiteName, ...]
    size: Annotated[int, Field(ge=_FEWEST)]

    @property
    def name(self) -> str:
        """Of its file, whose name has an end."""
        joined = "+".join(self.sources)
        if len(joined) > _LONGEST:
            joined = f"{len(self.sources)}-sites-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
        return f"{self.strategy}_{joined}_{self.size}"


class Audit(Declared):
    """What is attacked, in full.

    Attributes
    ----------
    models : int
        Simulated sites, each a random half of a pool: one is attacked, the others are its shadow models.
    finding : str or None
        Code of the finding whose value is guessed; None for the one that is nearest to half and half.
    files : dict of str to str
        The sites' files.
    """

    federation: Federation
    site: SiteName
    embedding: Name
    cases: list[Case]
    models: Annotated[int, Field(ge=8, le=1024)]
    finding: str | None
    files: dict[SiteName, str]


def plan(
    federation: Federation, path: Path, site: str, sizes: Sequence[int], models: int, finding: str | None = None
) -> Audit:
    """Lay out an audit.

    Raises
    ------
    ConfigError
        The federation has no such site, or gives nothing to attack there.
    """
    if site not in federation.sites:
        raise ConfigError(f"{path}: no site {site!r} under [sites]; expected one of {', '.join(federation.sites)}")
    if not federation.model.binary:
        raise ConfigError(
            f"{path}: the attacks are for two classes only; the model predicts {federation.model.predicts}"
        )
    joined = federation.aggregation.model_dump(exclude={"likeness"})
    if joined != Aggregation().model_dump(exclude={"likeness"}):
        raise ConfigError(
            f"{path}: the attacks know FedAvg alone, by size, without bound, options and noise; remove [aggregation]"
        )
    if min(sizes) < _FEWEST:
        raise ConfigError(f"size {min(sizes)} is too small to be a site; expected {_FEWEST} encounters or more")
    cases = [
        Case(strategy=s, sources=sources, size=size)
        for s, sources in _pairs(federation, site)
        for size in dict.fromkeys(sizes)
    ]
    if not cases:
        raise ConfigError(
            f"{path}: nothing that {site} gives away; expected it among the sources of a direction, with the strategy "
            f"{DIRECT!r}, or among the targets, with any of {', '.join(_returning())}"
        )
    files = {name: str(file) for name, file in site_files(federation, path).items()}
    first = federation.embeddings[0]
    return Audit(
        federation=federation, site=site, embedding=first, cases=cases, models=models, finding=finding, files=files
    )


def _pairs(federation: Federation, site: str) -> list[tuple[str, tuple[str, ...]]]:
    """Give strategies with the sources under which something of the site leaves."""
    found = []
    for strategy in federation.strategies:
        for direction in federation.directions:
            at_source = strategy == DIRECT and site in direction.sources
            at_target = strategy in _returning() and site in direction.targets
            if (at_source or at_target) and (strategy, tuple(direction.sources)) not in found:
                found.append((strategy, tuple(direction.sources)))
    return found


def _returning() -> list[str]:
    """Give the strategies under which a target sends weights, of one kind of training."""
    return [name for name, what in STRATEGIES.items() if what.returned and not what.candidates]
