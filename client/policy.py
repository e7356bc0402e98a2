"""What a site allows a federation to ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from client.privacy.policy import PrivacyPolicy
from common.config import Name, SiteName
from common.figures import LEAVING
from common.likeness import Likeness
from common.secure.group import Fingerprint
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
    max_tasks : int
        Most different tasks of one run; each one's answer says a little more of the patients. Deployed only.
    min_cell : int
        Fewest patients behind a number that may leave the site.
    metrics : tuple of str
        Metrics that may leave the site, of `common.figures.LEAVING`.
    differencing : bool
        Whether a cohort is told of that differs from an earlier one by fewer than `min_cell` patients. Deployed only.
    max_change : float or None
        Largest L2 norm of the change of the weights that may leave the site; None for no limit.
    approval : bool
        Whether only tasks of a federation that a data steward approved (`client.approvals`) are done. Deployed only.
    federations : tuple of str or None
        Names of federations that may be approved; None for any.
    privacy : PrivacyPolicy or None
        What patients may spend of their privacy; None where nobody counts.
    likeness : Likeness or None
        The most that all mean embeddings (`common.likeness`) that the site ever tells may cost a patient together; None
        where it tells none.
    secure : str
        "require": as a source, the site lets its update out in a secure sum only; "allow": as it is, too.
    peers : dict of str to str or None
        The sites that may be in a secure sum with this one, each with the fingerprint of its identity; None for any.
        Deployed only.
    """

    strategies: tuple[str, ...] = Field(default=tuple(ROLES), min_length=1)
    max_rounds: Limit = 100
    max_epochs: Limit = 1000
    max_tasks: Limit = 5000
    min_cell: Limit = 11
    metrics: tuple[str, ...] = LEAVING
    differencing: bool = False
    max_change: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    approval: bool = False
    federations: tuple[Name, ...] | None = None
    privacy: PrivacyPolicy | None = None
    likeness: Likeness | None = None
    secure: Literal["allow", "require"] = "allow"
    peers: dict[SiteName, Fingerprint] | None = None

    @field_validator("strategies")
    @classmethod
    def _known_strategies(cls, strategies: tuple[str, ...]) -> tuple[str, ...]:
        return _some_of(strategies, tuple(ROLES), "a transfer strategy")

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        return _some_of(metrics, LEAVING, "a metric")

    @model_validator(mode="after")
    def _agree(self) -> Policy:
        if self.federations is not None and not self.approval:
            raise ValueError(
                "federations needs approval = true: only a file that was approved says which federation a task is of"
            )
        return self


def _some_of(names: Sequence[str], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not {what}; expected some of {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ValueError(f"names a {what.split()[-1]} twice; name each once")
    return tuple(names)
