"""How the coordinator's state looks in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from server.coordinator.refusals import KINDS
from server.coordinator.status import Health, RunState, SiteState


def sites_table(states: list[SiteState]) -> Table:
    """Lay registered sites out."""
    table = _table("site", "connected", "last seen", "version", "tables", "node key", "registered")
    words = {True: "yes", False: "no", None: "?"}
    for state in states:
        tables = ", ".join(f"{name} {said}" for name, said in state.tables.items())
        seen = _minute(state.presence.seen) or ("?" if state.presence.connected is None else "never")
        key = state.site.key[:17]
        row = (state.site.name, words[state.presence.connected], seen, state.version, tables, key)
        table.add_row(*map(escape, row), state.site.registered[:10])
    return table


def runs_table(states: list[RunState]) -> Table:
    """Lay runs out."""
    table = _table("run", "state", "step", "doing", "waits for", "why")
    table.columns[0].no_wrap, table.columns[0].min_width = True, max((len(state.name) for state in states), default=0)
    for state in states:
        step = f"{state.step} of {state.steps}" if state.steps else ""
        row = (state.name, state.state, step, state.doing, state.missing[-1] if state.missing else "", state.why)
        table.add_row(*map(escape, row))
    return table


def print_health(console: Console, health: Health) -> None:
    """Print how the coordinator itself does."""
    if not health.servers:
        console.print("not up; start it: sitebridge coordinator up")
    for name, process in health.servers.items():
        state = f"runs since {process.since}" if process.pid is not None else "does not run; is started again"
        again = f", restarted {process.restarts} times, last exit {process.last_exit}" if process.restarts else ""
        console.print(f"{name}: {state}{again}", highlight=False)
    console.print(
        f"server certificate until {health.certificate_until}, authority until {health.authority_until}",
        highlight=False,
    )
    for kind, number in health.refusals.items():
        console.print(f"refused {number}x {kind}: {KINDS[kind]}", highlight=False, soft_wrap=True)
    if last := health.last_refusal:
        said = f"{last.kind} from {last.address} {last.detail!r}"
        console.print(f"last refusal {last.time:%Y-%m-%d %H:%M:%S}: {said}", markup=False, highlight=False)


def print_run(console: Console, state: RunState) -> None:
    """Print one run in full."""
    for key, value in (
        ("run", state.name),
        ("state", state.state),
        ("step", f"{state.step} of {state.steps}"),
        ("doing", state.doing),
        ("started", state.started),
        ("why", state.why),
    ):
        if value:
            console.print(f"{key}: {value}", markup=False, highlight=False, soft_wrap=True)
    for line in state.missing:
        console.print(f"missing: {line}", markup=False, highlight=False, soft_wrap=True)


def _minute(time: str) -> str:
    """Give a time, of ours or of Flower's, to the minute."""
    return time[:16].replace("T", " ")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
