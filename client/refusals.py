"""Why a site does not do a task, and the code from a fixed list by which a coordinator hears of it."""

from __future__ import annotations

from common.errors import CohortError, ConfigError, PolicyError, SitebridgeError, TableError, WireError
from common.secure.fixed import OutOfRangeError


class NotApprovedError(PolicyError):
    """The task is not one of a federation that a data steward of this site approved."""


class OldRunError(PolicyError):
    """The message belongs to a run, or to a start of one, that another has replaced."""


class TooFarError(PolicyError):
    """The weights moved further than the site's policy lets out."""


class NotPrivateError(PolicyError):
    """The site's policy asks for training with noise, and the task does not."""


class BudgetError(PolicyError):
    """What the site's patients may spend of their privacy does not cover the task."""


class OtherLabelError(PolicyError):
    """The federation predicts something else than what the site file's label says."""


class TooAlikeError(PolicyError):
    """The cohort differs from one of which something has left by few patients, who would be singled out."""


class PlainError(PolicyError):
    """The site's policy lets an update out in a secure sum only, and the task asks for it as it is."""


class UnknownPeerError(PolicyError):
    """A secure sum with sites, or with keys of sites, that the site's policy does not name."""


class UnsafeError(PolicyError):
    """A step of secure aggregation that would uncover a site's update."""


class TooFewError(SitebridgeError):
    """A number would be computed on fewer patients than the site's min-cell."""


class DivergedError(SitebridgeError):
    """A model's numbers are not finite."""


_CODES: list[tuple[type[SitebridgeError], str]] = [
    (NotApprovedError, "not-approved"),
    (OldRunError, "old-run"),
    (TooFarError, "too-far"),
    (NotPrivateError, "not-private"),
    (BudgetError, "budget-spent"),
    (OtherLabelError, "other-label"),
    (TooAlikeError, "too-alike"),
    (PlainError, "plain"),
    (UnknownPeerError, "unknown-peer"),
    (UnsafeError, "unsafe"),
    (PolicyError, "refused"),
    (OutOfRangeError, "out-of-range"),
    (WireError, "bad-task"),
    (ConfigError, "bad-site-file"),
    (CohortError, "bad-cohort"),
    (TableError, "bad-table"),
    (TooFewError, "too-few"),
    (DivergedError, "diverged"),
]


def code_of(error: Exception) -> str:
    """Give the key of `common.tasks.FAILURES` that stands for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
