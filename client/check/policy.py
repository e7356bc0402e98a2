"""What the check says of the policy, in words, and of the approvals."""

from __future__ import annotations

from collections.abc import Iterator

from client.approvals import FOLDER, read_approval
from client.check.findings import Said
from client.home.layout import Home
from client.policy import Policy
from client.refusals import NotApprovedError
from common.figures import LEAVING


def look(policy: Policy) -> Iterator[Said]:
    """Say what the site allows."""
    yield "ok", f"takes part in: {', '.join(policy.strategies)}"
    yield (
        "ok",
        f"at most {policy.max_rounds:,} rounds of a run, {policy.max_epochs:,} epochs of a task and "
        f"{policy.max_tasks:,} tasks of a run",
    )
    few = policy.min_cell
    level = "ok" if few >= Policy().min_cell else "warn"
    yield level, f"no number that tells of fewer than {few} patients leaves"  # type: ignore[misc]
    yield "ok", f"metrics that may leave: {'all' if policy.metrics == LEAVING else ', '.join(policy.metrics)}"
    if policy.max_change is None:
        yield "ok", "no limit to how far weights may move in a task; [policy] max_change sets one"
    else:
        yield "ok", f"weights that moved further than {policy.max_change:g} (L2 norm) stay here"
    if (cost := policy.likeness) is None:
        yield "ok", "no mean embedding leaves; [policy.likeness] would allow it"
    else:
        most = f"epsilon {cost.epsilon:g} at delta {cost.delta:g}"
        yield "ok", f"mean embeddings may leave, with noise: all together at most {most} for each patient"
    if not policy.approval:
        yield "warn", "any federation may ask, without a data steward's approval; [policy] approval = true changes that"
    else:
        named = "any" if policy.federations is None else " or ".join(policy.federations)
        yield "ok", f"only federations that a data steward approved are served; {named} may be approved"


def look_at_approvals(home: Home, policy: Policy) -> Iterator[Said]:
    """Look at every approval that was given."""
    files = sorted((home.agent / FOLDER).glob("*.toml"))
    if not files and policy.approval:
        yield (
            "warn",
            "none: every task is refused until a data steward reads and approves a federation: "
            "sitebridge site approve FEDERATION.toml --by WHO",
        )
    elif not files:
        yield "ok", "none, and the policy asks for none"
    for path in files:
        try:
            given = read_approval(home.agent, path.stem)
        except NotApprovedError as error:
            yield "fail", f"{error}"
            continue
        text = f"{given.name}, by {given.by} on {given.at:%Y-%m-%d}, digest {given.digest[:12]}"
        if policy.federations is not None and given.name not in policy.federations:
            yield "warn", f"{text}; but policy.federations does not name it, so it is refused"
        else:
            yield "ok", text
