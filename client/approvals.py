"""A data steward's approval of a federation, and the check of every task against what was approved.

An approval is a file of the agent's: who, when, and the federation with every preset spelt out. A task claims by a
digest to be of a federation; what it asks is checked against the approved content itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from client.asked import alone_of, describe, tasks_of, training_of
from client.home.layout import Home
from client.policy import Policy
from client.refusals import NotApprovedError
from common.config import ONE_HOT, Federation, digest, load_federation
from common.errors import ConfigError
from common.files import write_atomically
from common.likeness import LIKENESS
from common.strategies import ENSEMBLE, SOURCE
from common.tasks import Greet, Request, Work
from common.toml import Declared, read_toml

FOLDER = "approvals"  # in the agent's folder


class Approval(Declared):
    """An approval, as it is written to ``agent/approvals/DIGEST.toml``."""

    by: str
    at: datetime
    name: str
    digest: str
    federation: Federation


def approve(folder: Path, federation_path: Path, by: str) -> tuple[Path, list[str]]:
    """Write down that a data steward approves a federation.

    Parameters
    ----------
    folder : Path
        The site's folder, with ``site.toml`` and ``agent/``.
    federation_path : Path
        The file that the coordinator sent.
    by : str
        Who approves.

    Returns
    -------
    Path
        The approval's file. Who takes the approval back removes it.
    list of str
        In plain words, what will be asked of this site.

    Raises
    ------
    ConfigError
        A file is wrong, the federation does not name the site or the site's policy not the federation, or nobody is
        named.
    """
    from client.site_file import load_site  # imports what reads cohorts

    if not by.strip():
        raise ConfigError("nobody is named who approves; name a person with --by")
    federation, words = review(folder, federation_path)
    allowed = load_site(Home(folder).site_file).policy.federations
    if allowed is not None and federation.name not in allowed:
        raise ConfigError(f"policy.federations does not name {federation.name!r}, so nothing of it would be done")
    key = digest(federation)
    path = Home(folder).agent / FOLDER / f"{key}.toml"
    write_atomically(path, tomli_w.dumps(_content(federation, key, by.strip())))
    return path, words


def review(folder: Path, federation_path: Path) -> tuple[Federation, list[str]]:
    """Read a federation file and say in plain words what it asks of the site; see `approve`."""
    from client.site_file import load_site  # imports what reads cohorts

    federation, site = load_federation(federation_path), load_site(Home(folder).site_file)
    return federation, describe(federation, site.name, site.policy)


def _content(federation: Federation, key: str, by: str) -> dict[str, Any]:
    resolved = federation.model_dump(mode="json", exclude_none=True)
    resolved["sites"] = {name: {} for name in federation.sites}
    at = datetime.now(UTC).replace(microsecond=0)
    return {"by": by, "at": at, "name": federation.name, "digest": key, "federation": resolved}


def read_approval(agent_folder: Path, key: str) -> Approval:
    """Read the approval of the federation with a digest.

    Raises
    ------
    NotApprovedError
        There is none, or its content is not what its name says.
    """
    path = agent_folder / FOLDER / f"{key}.toml"
    if not key.isalnum() or not path.is_file():
        raise NotApprovedError(
            f"federation {key[:12]!r} is not approved; ask the coordinator for its file, read it, and approve it with: "
            "sitebridge site approve FEDERATION.toml --by NAME"
        )
    try:
        approval = read_toml(path, Approval)
    except ConfigError as error:
        raise NotApprovedError(f"an approval that cannot be read: {error}") from None
    if digest(approval.federation) != key or approval.digest != key:
        raise NotApprovedError(f"{path}: was changed after it was approved; remove it and approve the federation anew")
    return approval


def check_approved(agent_folder: Path, site: str, policy: Policy, task: Greet | Work, request: Request) -> None:
    """Check that a task is one of a federation that was approved, and asks what its file says.

    Raises
    ------
    NotApprovedError
        It is not; names what differs.
    """
    federation = read_approval(agent_folder, task.federation).federation
    if policy.federations is not None and federation.name not in policy.federations:
        raise NotApprovedError(f"policy.federations does not name {federation.name!r}")
    if site not in federation.sites:
        raise NotApprovedError(f"federation {federation.name!r} was approved, but does not name site {site!r}")
    faults = _embedding_faults(federation, task)
    faults += [] if task.model == federation.model else ["model"]
    if isinstance(task, Work):
        faults += _work_faults(federation, site, task, request)
    if faults:
        raise NotApprovedError(f"federation {federation.name!r} was approved with other values: {', '.join(faults)}")


def _is_secure(federation: Federation, task: Work) -> bool:
    """Say whether a source's task is summed as the file says: not at all, or with the sources of a direction."""
    if task.secure is None or not federation.aggregation.secure:
        return task.secure is None and not federation.aggregation.secure
    alike = task.secure.equal == (federation.aggregation.weights == "equal")
    return alike and list(task.secure.sites) in [direction.sources for direction in federation.directions]


def _embedding_faults(federation: Federation, task: Greet | Work) -> list[str]:
    embedding = task.embedding
    agreed = {
        "embedding": embedding.name in federation.embeddings,
        "normalisation": embedding.normalisation == federation.normalisation,
        "unknown": embedding.unknown == federation.unknown,
        "absence": embedding.absence == federation.absence,
        "vocabulary": embedding.vocabulary is None or embedding.name == ONE_HOT,
    }
    return [name for name, fits in agreed.items() if not fits]


def _work_faults(federation: Federation, site: str, task: Work, request: Request) -> list[str]:
    training = training_of(federation, task.strategy)
    source = task.strategy == SOURCE
    rounds = training.rounds if training is not None and source else 1
    pull = federation.aggregation.options.get("proximal_mu", 0.0) if source else 0.0
    pulls = {pull, 0.0} if ENSEMBLE in federation.strategies else {pull}  # each by itself, they are not pulled
    likeness = federation.aggregation.likeness if task.strategy == LIKENESS else None
    agreed = {
        "strategy": task.strategy in tasks_of(federation, site),
        "seed": task.seed in federation.seeds,
        "training": task.training == training and task.alone == alone_of(federation, task.strategy),
        "privacy": task.privacy == federation.privacy,
        "round": 1 <= task.round <= rounds,
        "intervals": task.intervals in (0, federation.intervals),
        "proximal_mu": request.proximal_mu in pulls,
        "likeness": task.likeness == likeness,
        "secure": _is_secure(federation, task) if source else task.secure is None,
    }
    return [name for name, fits in agreed.items() if not fits]
