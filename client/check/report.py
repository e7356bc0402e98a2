"""All of the check, in its order; nothing that fails keeps the rest from being said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from client.check import cohort, connection, keys, policy, tables
from client.check.findings import Finding, Said, Section, run
from client.home.join import Welcome, read_welcome
from client.home.layout import Home
from client.policy import Policy
from client.site_file import Site, load_site
from common.errors import ConfigError, SitebridgeError


def check(home: Home, trained_on: Path | None = None) -> Iterator[Finding]:
    """Look at everything that a site needs, before it joins and whenever something is in doubt.

    Parameters
    ----------
    trained_on : Path, optional
        A list of what the model is trained on, see `client.check.tables`.
    """
    site = cache(lambda: load_site(home.site_file))
    sections = [
        ("cohort", _in(home.agent, lambda: cohort.look(site()))),
        ("tables", _in(home.agent, _if(site, lambda found: tables.look(found, trained_on)))),
        ("policy", _in(home.agent, _if(site, lambda found: policy.look_at_all(home, found)))),
        ("keys", _in(home.relay, lambda: keys.look(home, _welcome(home)))),
        ("approvals", _in(home.agent, lambda: policy.look_at_approvals(home, _policy(site)))),
        ("connection", _in(home.relay, lambda: connection.look(home, read_welcome(home)))),
    ]
    yield from run(sections)


def _in(half: Path, look: Section) -> Section:
    """Look at what belongs to one half, unless that half is in another container."""
    if half.is_dir():
        return look
    return lambda: [("warn", f"not looked at: the {half.name} is not here; run this check in its container, too")]


def _if(site: Callable[[], Site], look: Callable[[Site], Iterable[Said]]) -> Callable[[], Iterable[Said]]:
    """Look at a part of the site file; what is wrong with the file itself is said once, with the cohort."""

    def section() -> Iterable[Said]:
        try:
            found = site()
        except SitebridgeError:
            return [("fail", "not looked at: the site file cannot be used, see above")]
        return look(found)

    return section


def _policy(site: Callable[[], Site]) -> Policy:
    try:
        return site().policy
    except SitebridgeError:
        return Policy(approval=True)


def _welcome(home: Home) -> Welcome | None:
    try:
        return read_welcome(home)
    except ConfigError:  # said with the connection
        return None
