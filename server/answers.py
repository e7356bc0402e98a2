"""Judges what a site answered, in words from our own list, whatever the site sent."""

from __future__ import annotations

from collections.abc import Callable

from common.errors import SiteError, WireError
from common.tasks import FAILURES, PASSING, Answer

Check = Callable[[str, Answer], None]  # raises WireError for an answer that cannot be used


def site_of(answer: Answer, name: str) -> str:
    """Give the site that answered a greeting."""
    if answer.code != "ok":
        raise SiteError(f"site {answer.site or name}: {reason(answer, name)}")
    if not name.startswith("node ") and answer.site != name:
        raise SiteError(
            f"the node registered as {name!r} answers as {answer.site!r}; its site file must name it {name!r}"
        )
    return answer.site


def fault(answer: Answer, site: str, check: Check, taken: frozenset[str]) -> str:
    """Give why an answer cannot be used; empty where it can."""
    if answer.code not in {"ok", *taken} or answer.site != site:
        return reason(answer, site)
    try:
        if answer.code == "ok":
            check(site, answer)
    except WireError as error:
        return f"answered with something that cannot be used: {error}"
    return ""


def lasting(code: str) -> bool:
    """Whether asking again would bring the same: an answer, or a failure that only a person can mend."""
    return code == "ok" or (code in FAILURES and code not in PASSING)


def reason(answer: Answer, site: str) -> str:
    """Give the reason in words from our own list, whatever the site sent."""
    if answer.code == "ok":
        return f"answered under another name than {site!r}"
    own = {"unreachable": "cannot be reached", "malformed": "answered with something that is not an answer"}
    return FAILURES.get(answer.code) or own.get(answer.code) or "answered with an unknown code"
