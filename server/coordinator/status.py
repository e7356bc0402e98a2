"""What a coordinator knows of itself, its sites and its runs, at any moment, up or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from common.supervise import Process, processes
from server.coordinator.authority import expiry
from server.coordinator.flower import Flower, FlowerError, NotUpError, Status
from server.coordinator.folder import Folder
from server.coordinator.follow import silent_end
from server.coordinator.refusals import Refusal, count, read_refusals
from server.coordinator.registry import Presence, Site, presence, registered
from server.coordinator.runs import Run, every_run

_LOOKED_AT = 50  # runs in which a site's last greeting is looked for


@dataclass(frozen=True)
class Health:
    """How the coordinator itself does.

    Attributes
    ----------
    servers : dict of str to Process
        What `up` keeps running; empty where it is not up.
    certificate_until : str
    authority_until : str
    refusals : dict of str to int
        By kind, as far back as the logs go.
    last_refusal : Refusal or None
    """

    servers: dict[str, Process]
    certificate_until: str
    authority_until: str
    refusals: dict[str, int]
    last_refusal: Refusal | None


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes
    ----------
    name : str
    state : str
        "running", "complete", "failed", "stopped", "waiting" where the coordinator is not up, or "ended".
    step, steps : int
        Steps done, and all of them.
    doing : str
        What was done last; empty where it is complete.
    missing : tuple of str
        Who has been missed since the last step that was done.
    why : str
        Why it ended; empty where it did not, or is complete.
    started : str
    """

    name: str
    state: str
    step: int
    steps: int
    doing: str
    missing: tuple[str, ...]
    why: str
    started: str


@dataclass(frozen=True)
class SiteState:
    """A registered site, whether it is there, and what it said of itself last."""

    site: Site
    presence: Presence
    version: str
    tables: dict[str, str]
    greeted: str

    def as_json(self) -> dict[str, Any]:
        """Give it as one flat object."""
        said = {"version": self.version, "tables": self.tables, "greeted": self.greeted}
        return {**self.site.model_dump(), **asdict(self.presence), **said}


def health(folder: Folder) -> Health:
    """Look at the servers, the certificates and the refusals."""
    refusals = read_refusals(folder)
    return Health(
        processes(folder.state),
        f"{expiry(folder.certificate):%Y-%m-%d}",
        f"{expiry(folder.ca):%Y-%m-%d}",
        count(refusals),
        refusals[-1] if refusals else None,
    )


def run_states(folder: Folder, runs: list[Run]) -> list[RunState]:
    """Say of runs how far they are."""
    try:
        statuses: dict[str, Status] | None = Flower(folder).statuses() if runs else {}
    except (NotUpError, FlowerError):
        statuses = None
    return [_run_state(run, statuses) for run in runs]


def site_states(folder: Folder) -> list[SiteState]:
    """Say of every registered site whether it is there, and what it said of itself last."""
    sites = registered(folder)
    there = presence(folder, sites)
    states = []
    for name, site in sites.items():
        greetings = _greetings(folder, name)
        version = greetings[-1]["version"] if greetings else site.version
        tables = {str(event["embedding"]): str(event["fingerprint"]) for event in greetings}
        greeted = str(greetings[-1]["time"]) if greetings else ""
        states.append(SiteState(site, there[name], str(version), tables, greeted))
    return states


def _greetings(folder: Folder, name: str) -> list[dict[str, Any]]:
    """Give what a site said when it was last greeted, one event for each embedding."""
    for run in every_run(folder)[:_LOOKED_AT]:
        events, _ = run.events()
        if found := [event for event in events if event["kind"] == "greeted" and event.get("site") == name]:
            return found
    return []


def _run_state(run: Run, statuses: dict[str, Status] | None) -> RunState:
    events, record = run.last_start(), run.record
    said = [event for event in events if event["kind"] == "step"]
    steps = next((int(event["steps"]) for event in events if event["kind"] == "begin"), 0)
    state, why = _ending(run, events[-1] if events else None, statuses)
    complete = state == "complete"
    return RunState(
        name=run.name,
        state=state,
        step=steps if complete else len(said),  # a round that early stopping spared is done, too
        steps=steps,
        doing=str(said[-1]["text"]) if said and not complete else "",
        missing=() if complete else _missed(events),
        why=why,
        started=record.started,
    )


def _missed(events: list[dict[str, Any]]) -> tuple[str, ...]:
    """Give who was missed after the last step: what was done since has not waited for them."""
    done = [place for place, event in enumerate(events) if event["kind"] in ("step", "greeted")]
    since = events[done[-1] + 1 :] if done else events
    return tuple(str(event.get("text")) for event in since if event["kind"] == "missing")


def _ending(run: Run, last: dict[str, Any] | None, statuses: dict[str, Status] | None) -> tuple[str, str]:
    """Give a run's state, and why it ended."""
    status = None if statuses is None else statuses.get(run.record.flower, Status())
    if status is not None and status.live:
        return "running", ""
    if last is not None and last["kind"] == "end":
        return ("complete", "") if last.get("ok") else ("failed", str(last.get("text", "")))
    if run.record.stopped:
        return "stopped", "stopped by the coordinator"
    if status is None:
        return "waiting", "the coordinator is not up"
    return "ended", silent_end(run, status)
