"""What the site's own file lets a task do; asked before any data is touched, and never overruled by the federation."""

from __future__ import annotations

from collections.abc import Sequence

from client.site_file import Site
from common.errors import PolicyError
from common.tasks import Work


def check_work(sites: Sequence[Site], task: Work) -> None:
    """Check a task against every site's policy.

    Raises
    ------
    PolicyError
        A site does not allow the task; names the key of its file.
    """
    for site in sites:
        policy = site.policy
        if task.strategy not in policy.strategies:
            raise PolicyError(f"{site.path}: policy.strategies does not allow {task.strategy!r}")
        training = task.training
        if training is None:
            continue
        if max(training.rounds, task.round) > policy.max_rounds:
            raise PolicyError(
                f"{site.path}: policy.max_rounds is {policy.max_rounds}, the task asks for {training.rounds}"
            )
        if training.batch_size < policy.min_cell:  # one step on one patient gives that patient away
            raise PolicyError(
                f"{site.path}: policy.min_cell is {policy.min_cell}, the task's batches {training.batch_size}"
            )
        if training.epochs > policy.max_epochs:
            raise PolicyError(
                f"{site.path}: policy.max_epochs is {policy.max_epochs}, the task asks for {training.epochs}"
            )
