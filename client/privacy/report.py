"""What a site's patients have spent and have left, for the screens of the site itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from client.privacy.accounting import epsilon_of
from client.privacy.ledger import PrivacyLedger, together
from client.privacy.policy import PrivacyPolicy
from client.privacy.protection import population_of
from client.site_file import Site
from common.errors import ConfigError


def spent(agent_folder: Path, site: Site | None) -> list[dict[str, Any]]:
    """Give what every population of a ledger has spent, as JSON has it; the site's own first, whether it spent or not.

    Parameters
    ----------
    site : Site or None
        None where the site file cannot be used: no budget is known then.
    """
    try:
        ledger = PrivacyLedger(agent_folder)
    except ConfigError as error:
        return [{"problem": str(error)}]
    own = None if site is None else population_of(site)
    policy = None if site is None else site.policy.privacy
    names = ([own] if own and policy is not None else []) + [name for name in ledger.populations if name != own]
    names += [own] if own and policy is None and own in ledger.populations else []
    return [_facts(ledger, name, policy if name == own else None) for name in names]


def _facts(ledger: PrivacyLedger, name: str, policy: PrivacyPolicy | None) -> dict[str, Any]:
    charges = ledger.spent(name)
    delta = 1e-5 if policy is None else policy.delta
    facts: dict[str, Any] = {
        "population": name,
        "runs": list(dict.fromkeys(each.run for each in charges)),
        "delta": delta,
        "budget": None if policy is None else policy.epsilon,
        "last": max((each.last.isoformat() for each in charges), default=None),
    }
    try:
        epsilon = epsilon_of(together(charges), delta)
    except ConfigError as error:
        return facts | {"problem": str(error)}
    if math.isinf(epsilon):
        return facts | {"problem": "far more was spent than any budget covers: it protects nobody"}
    return facts | {"epsilon": epsilon}


def in_words(facts: dict[str, Any]) -> str:
    """Say the same in a line."""
    if "problem" in facts:
        return f"{facts['population']}: {facts['problem']}" if "population" in facts else facts["problem"]
    runs = len(facts["runs"])
    budget = "no budget is set" if facts["budget"] is None else f"of {facts['budget']:g}"
    by = f", by {runs} run{'' if runs == 1 else 's'}, last {facts['last']}" if runs else ""
    return f"{facts['population']}: epsilon {facts['epsilon']:.3g} spent, {budget}, at delta {facts['delta']:g}{by}"
