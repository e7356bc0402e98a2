"""What the site's own file lets a task do; asked before any data is touched, and never overruled by the federation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from client.likeness import allowed
from client.refusals import NotPrivateError, OtherLabelError, PlainError, TooFarError
from client.site_file import Site
from common import __version__
from common.config import Training
from common.errors import PolicyError, WireError
from common.figures import LEAVING, metric_of
from common.likeness import LIKENESS
from common.shape import ModelShape
from common.strategies import ROLES, SOURCE
from common.tasks import Greet, Request, Work

_NESTS = 1000  # lists and objects in a task


def read_task(request: Request) -> Greet | Work:
    """Read a request's task.

    Raises
    ------
    WireError
        It is not a task, or comes from another version of Sitebridge.
    """
    if request.task.count("[") + request.task.count("{") > _NESTS:  # lists take far more memory than their bytes
        raise WireError("the task holds more lists than any task needs")
    try:
        kind = json.loads(request.task).get("kind")
        task = (Greet if kind == "greet" else Work).model_validate_json(request.task)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip() for fault in error.errors()]
        raise WireError(f"the task cannot be read: {'; '.join(faults)}") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise WireError(f"the task cannot be read: {error}") from None
    if task.version != __version__:
        raise WireError(f"the coordinator runs Sitebridge {task.version}, this site {__version__}")
    return task


def check_work(sites: Sequence[Site], task: Work) -> None:
    """Check a task against every site's policy.

    Raises
    ------
    PolicyError
        A site does not allow the task, or has another label; names the key of its file.
    """
    check_label(sites, task.model)
    for site in sites:
        policy = site.policy
        if task.strategy == LIKENESS:
            allowed(site, task)
        elif task.strategy not in policy.strategies:
            raise PolicyError(f"{site.path}: policy.strategies does not allow {task.strategy!r}")
        if task.strategy == SOURCE and task.secure is None and policy.secure == "require":
            raise PlainError(f'{site.path}: policy.secure is "require"; the federation has no [aggregation] secure')
        strategy = ROLES.get(task.strategy)
        learns = strategy is not None and (strategy.tuned or strategy.recalibrated or strategy.logistic)
        if policy.privacy is not None and policy.privacy.required and learns and task.privacy is None:
            raise NotPrivateError(
                f"{site.path}: policy.privacy.required is true; the federation has no [privacy], for {task.strategy!r}"
            )
        for training in filter(None, (task.training, task.alone)):
            _check_training(site, training, task.round)


def _check_training(site: Site, training: Training, number: int) -> None:
    """Check how a task trains; `number` is that of its round."""
    policy = site.policy
    if max(training.rounds, number) > policy.max_rounds:
        raise PolicyError(f"{site.path}: policy.max_rounds is {policy.max_rounds}, the task asks for {training.rounds}")
    if training.batch_size < policy.min_cell:  # one step on one patient gives that patient away
        raise PolicyError(
            f"{site.path}: policy.min_cell is {policy.min_cell}, the task's batches {training.batch_size}"
        )
    if training.epochs > policy.max_epochs:
        raise PolicyError(f"{site.path}: policy.max_epochs is {policy.max_epochs}, the task asks for {training.epochs}")


def check_label(sites: Sequence[Site], model: ModelShape) -> None:
    """Check that every site's label is what a model predicts: the same names, in the same order.

    Raises
    ------
    OtherLabelError
        It is not; names both.
    """
    for site in sites:
        own = site.file.cohort.shape()
        if (own.classes, own.labels) != (model.classes, model.labels):
            key = "cohort.labels" if own.labels else "cohort.label"
            raise OtherLabelError(f"{site.path}: {key} has {own.predicts}; the federation predicts {model.predicts}")


def check_change(
    sites: Sequence[Site], came: Mapping[str, NDArray[np.float32]], leaves: Mapping[str, NDArray[np.float32]]
) -> None:
    """Check how far the weights that are about to leave moved from those that came, by the L2 norm.

    Parameters
    ----------
    came, leaves
        The same parts of the model, packed.

    Raises
    ------
    TooFarError
        Further than a site's ``policy.max_change``.
    """
    limits = [site.policy.max_change for site in sites if site.policy.max_change is not None]
    if not limits:
        return
    for name, values in leaves.items():
        moved = float(np.linalg.norm(values.astype(np.float64) - came[name].astype(np.float64)))
        if not moved <= min(limits):
            raise TooFarError(f"{sites[0].path}: policy.max_change is {min(limits):g}; {name} moved by {moved:.3g}")


def let_out(sites: Sequence[Site], figures: Mapping[str, float]) -> tuple[dict[str, float], set[str]]:
    """Give the figures whose metrics every site's policy lets out, and the names of the metrics that it keeps back."""
    allowed = set.intersection(*(set(site.policy.metrics) for site in sites))
    kept_back = {name for name in figures if metric_of(name) in LEAVING and metric_of(name) not in allowed}
    out = {name: value for name, value in figures.items() if name not in kept_back}
    return out, {metric_of(name) for name in kept_back}
