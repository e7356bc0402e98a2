"""The site's memory of the means that it told: each is told again as it was, and all of them stay within the policy.

It outlives runs, federations and the agent's process: fresh noise for every question would average out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import ConfigError, PolicyError
from common.files import PRIVATE, write_atomically
from common.gaussian import epsilon_of
from common.likeness import Likeness

RELEASES = "likeness.json"
_ROUNDING = 1e-9  # of an epsilon, relatively


class Release(BaseModel):
    """A mean that was told.

    Attributes
    ----------
    data : str
        Digest of the encounters and of the vectors that stand for their tokens.
    mu : float
        What it costs a patient, see `common.gaussian`.
    noise : float
        Standard deviation of the noise of each number.
    mean : list of float
        With its noise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime
    run: str
    embedding: str
    data: str
    encounters: int
    mu: float = Field(gt=0, allow_inf_nan=False)
    noise: float = Field(gt=0, allow_inf_nan=False)
    mean: list[float]


class _Written(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    releases: list[Release] = []


class Releases:
    """What was told of a site's patients.

    Parameters
    ----------
    folder : Path or None
        The agent's; None keeps it in memory.

    Raises
    ------
    ConfigError
        The file is there, but cannot be read. Without it new noise would be drawn, so it is not replaced.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = None if folder is None else folder / RELEASES
        self._written = _Written()
        if self.path is not None and self.path.exists():
            self._written = _read(self.path)

    def told(self, data: str, limit: Likeness, mu: float, make: Callable[[], Release]) -> Release:
        """Give what was told of these data; where nothing was, make it, and have it on disk before it is given.

        Parameters
        ----------
        data : str
            See `Release`.
        limit : Likeness
            The most that all releases together may cost a patient, whichever data they were of.
        mu : float
            What a new one would cost.

        Raises
        ------
        PolicyError
            It would be more than that.
        """
        known = next((each for each in self._written.releases if each.data == data), None)
        costs = [each.mu for each in self._written.releases] + ([] if known else [mu])
        spent = epsilon_of(math.hypot(*costs), limit.delta)
        if spent > limit.epsilon * (1 + _ROUNDING):
            raise PolicyError(
                f"policy.likeness.epsilon is {limit.epsilon:g} at delta {limit.delta:g} for all means that this site "
                f"tells; with this one it would be {spent:.3g}"
            )
        return known or self._keep(make())

    def _keep(self, release: Release) -> Release:
        written = _Written(releases=[*self._written.releases, release])
        if self.path is not None:
            write_atomically(self.path, written.model_dump_json(indent=1) + "\n", PRIVATE)
        self._written = written
        return release


def now() -> datetime:
    """Give the time of a release."""
    return datetime.now(UTC).replace(microsecond=0)


def _read(path: Path) -> _Written:
    try:
        return _Written.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise ConfigError(
            f"{path}: not what the agent told, or not readable; put back the file, or remove it to begin a new one "
            "(patients are then told of once more, with fresh noise)"
        ) from None
