"""What a site allows a federation to ask of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from common.strategies import ROLES
from common.toml import Declared

Limit = Annotated[int, Field(strict=True, ge=1)]


class Policy(Declared):
    """The section ``[policy]`` of a site file; it outranks the federation's file.

    Attributes
    ----------
    strategies : tuple of str
        What the site takes part in: "source", a round of training for other sites, and the transfer strategies under
        which it is a target.
    max_rounds : int
        Most rounds of one run.
    max_epochs : int
        Most epochs of one task.
    min_cell : int
        Fewest patients behind a number that may leave the site.
    """

    strategies: tuple[str, ...] = Field(default=tuple(ROLES), min_length=1)
    max_rounds: Limit = 100
    max_epochs: Limit = 1000
    min_cell: Limit = 11

    @field_validator("strategies")
    @classmethod
    def _known(cls, strategies: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in strategies if name not in ROLES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a transfer strategy; expected some of {', '.join(ROLES)}")
        if len(set(strategies)) < len(strategies):
            raise ValueError("names a strategy twice; name each once")
        return strategies
