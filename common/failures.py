"""What a run does when a site is away, late, fails or answers wrongly, phase by phase."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.toml import Declared

Phase = Literal["greeting", "training", "transfer"]
PHASES: tuple[Phase, ...] = ("greeting", "training", "transfer")


class Handling(Declared):
    """What happens when a site is away, late, fails or answers wrongly; it is named in any case.

    Attributes
    ----------
    policy : str
        After the last try: "stop" the run, which can be resumed, or "continue" with those who answered.
    retries : int
        Tries after the first, for a failure that may pass.
    at_least : int
        Sites that must answer a round, with "continue".
    timeout : float
        Seconds for one try.
    away : float
        Seconds that a site may be out of reach within one try before the try is over.
    """

    policy: Literal["stop", "continue"] = "stop"
    retries: int = Field(default=2, ge=0, le=100)
    at_least: int = Field(default=1, ge=1)
    timeout: float = Field(default=3600.0, gt=0)
    away: float = Field(default=900.0, ge=0)


class PhaseHandling(Declared):
    """What one phase does otherwise than `Handling` says for all; the keys are the same."""

    policy: Literal["stop", "continue"] | None = None
    retries: int | None = Field(default=None, ge=0, le=100)
    at_least: int | None = Field(default=None, ge=1)
    timeout: float | None = Field(default=None, gt=0)
    away: float | None = Field(default=None, ge=0)


class Failures(Handling):
    """The section ``[failures]``: what holds for every phase, and what one phase does otherwise."""

    greeting: PhaseHandling = PhaseHandling()
    training: PhaseHandling = PhaseHandling()
    transfer: PhaseHandling = PhaseHandling()

    def at(self, phase: Phase) -> Handling:
        """Give what holds for one phase."""
        whole = self.model_dump(include=set(Handling.model_fields))
        return Handling.model_validate(whole | getattr(self, phase).model_dump(exclude_none=True))
