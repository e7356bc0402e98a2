"""What the check says of the policy, in words, and of the approvals."""

from __future__ import annotations

from collections.abc import Iterator

from client.approvals import FOLDER, read_approval
from client.check.findings import Said
from client.home.layout import Home
from client.policy import Policy
from client.privacy.accounting import Charge, epsilon_of
from client.privacy.policy import PrivacyPolicy
from client.privacy.report import in_words, spent
from client.refusals import NotApprovedError
from client.site_file import Site
from common.errors import ConfigError
from common.figures import LEAVING


def look_at_all(home: Home, site: Site) -> Iterator[Said]:
    """Say what the site allows, and what its patients have spent of their privacy."""
    yield from look(site.policy)
    yield from _look_at_spending(home, site)


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
    yield from _look_at_secure(policy)
    if (cost := policy.likeness) is None:
        yield "ok", "no mean embedding leaves; [policy.likeness] would allow it"
    else:
        most = f"epsilon {cost.epsilon:g} at delta {cost.delta:g}"
        yield "ok", f"mean embeddings may leave, with noise: all together at most {most} for each patient"
    yield from _look_at_privacy(policy.privacy)
    if not policy.approval:
        yield "warn", "any federation may ask, without a data steward's approval; [policy] approval = true changes that"
    else:
        named = "any" if policy.federations is None else " or ".join(policy.federations)
        yield "ok", f"only federations that a data steward approved are served; {named} may be approved"


def _look_at_secure(policy: Policy) -> Iterator[Said]:
    """Say in what company the site's updates leave, where that matters to its policy."""
    if policy.secure == "require":
        yield "ok", "as a source, its updates leave masked, for a secure sum alone"
        if policy.peers is None:
            yield "warn", "any site may be in that sum, also one that a coordinator makes up; [policy.peers] names them"
    if policy.peers is not None:
        yield "ok", f"a secure sum may be with: {', '.join(policy.peers) or 'nobody'}"


def _look_at_privacy(privacy: PrivacyPolicy | None) -> Iterator[Said]:
    if privacy is None:
        yield "ok", "training may tell of single patients; [policy.privacy] asks for noise and counts what it costs"
        return
    asked = "noise is asked for" if privacy.required else "noise is not asked for"
    yield "ok", f"privacy: epsilon {privacy.epsilon:g} at delta {privacy.delta:g} for each patient in all; {asked}"
    if privacy.metrics == "exact":
        yield "warn", "scores of validation and test encounters leave without noise, beside the privacy budget"
    try:
        epsilon_of([Charge(1.0, privacy.metrics_noise, 1)], privacy.delta)
    except ConfigError as error:
        yield "fail", f"every task with noise will fail: {error}"


def _look_at_spending(home: Home, site: Site) -> Iterator[Said]:
    for facts in spent(home.agent, site):
        budget = facts.get("budget")
        level = "fail" if "problem" in facts else "warn" if budget and facts["epsilon"] > 0.9 * budget else "ok"
        yield level, in_words(facts), facts  # type: ignore[misc]


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
