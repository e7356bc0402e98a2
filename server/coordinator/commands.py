"""The coordinator's commands. Each imports what it needs when it is called: `--help` must be instant."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import ConfigError, SitebridgeError
from server.coordinator.folder import VARIABLE, Folder, find_folder

if TYPE_CHECKING:
    from rich.console import Console

    from common.config import Federation
    from server.coordinator.runs import Run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Register sites, start rounds over them, and watch them."
)

At = Annotated[Path, typer.Option("--folder", envvar=VARIABLE, help="The coordinator's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HERE = Path("coordinator")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    address: Annotated[str, typer.Option(help="HOST:PORT that sites dial.")],
    listen: Annotated[str | None, typer.Option(help="ADDRESS:PORT to listen on; default 0.0.0.0, same port.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="A further host in the certificate; repeatable.")] = None,
    control_port: Annotated[int, typer.Option(help="Flower's own port, on loopback.")] = 8000,
    mutual_tls: Annotated[bool, typer.Option("--mutual-tls", help="Demand a certificate of every site.")] = False,
) -> None:
    """Make a coordinator's folder, with a certificate authority of its own."""
    from common.toml import check
    from server.coordinator.authority import expiry, fingerprint
    from server.coordinator.settings import Settings
    from server.coordinator.setup import initialise

    given = {"address": address, "also": also or [], "control_port": control_port, "mutual_tls": mutual_tls}
    given["listen"] = listen or f"0.0.0.0:{address.rpartition(':')[2]}"
    made = initialise(folder, check(given, Settings, "coordinator init"))
    print(f"made {made.path}; sites dial {address}")
    print(f"fingerprint of the authority (SHA-256): {fingerprint(made.ca.read_bytes())}")
    print(f"server certificate until {expiry(made.certificate):%Y-%m-%d}, authority until {expiry(made.ca):%Y-%m-%d}")
    print(f"keep {made.ca_key} safe; only `register` and `renew` need it")


@app.command()
def renew(folder: At = HERE) -> None:
    """Make a new server certificate; the authority stays, so that sites notice nothing."""
    from server.coordinator.setup import renew as make_anew

    print(f"server certificate until {make_anew(find_folder(folder)):%Y-%m-%d}; it holds from the next `up`")


@app.command()
def up(folder: At = HERE) -> None:
    """Run the coordinator's servers until Ctrl-C or SIGTERM."""
    from server.coordinator.up import up as run_servers

    run_servers(find_folder(folder), lambda line: print(line, flush=True))


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="The site's name.")],
    request: Annotated[Path, typer.Argument(help="The request file that the site sent.")],
    folder: At = HERE,
    out: Annotated[
        Path | None, typer.Option(help="The welcome file; default NAME.welcome.json by the request.")
    ] = None,
) -> None:
    """Let a site in, under a name, with the key of its request; writes the welcome file to send back."""
    from common import __version__
    from server.coordinator.authority import fingerprint
    from server.coordinator.registry import register as let_in
    from server.coordinator.requests import read_request

    found = find_folder(folder)
    checked = read_request(request, name)
    welcome = out or request.parent / f"{checked.name}.welcome.json"
    let_in(found, checked, welcome)
    print(f"{name} is registered with node key {checked.fingerprint}")
    print(f"send {welcome} to the site; no secret is in it")
    print(f"fingerprint of the authority, to compare by telephone (SHA-256): {fingerprint(found.ca.read_bytes())}")
    if checked.version != __version__:
        print(f"the site has Sitebridge {checked.version!r}, this coordinator {__version__}; a run needs one version")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The site's name.")], folder: At = HERE) -> None:
    """Take a site out: its key is refused from now on."""
    from server.coordinator.registry import remove as take_out

    take_out(find_folder(folder), name)
    print(f"{name} is removed; its key stays refused, so to join again it needs a new one")


@app.command()
def sites(folder: At = HERE, as_json: Json = False) -> None:
    """Show who is registered, who is connected, and with what."""
    from server.coordinator.printing import sites_table
    from server.coordinator.status import site_states

    states = site_states(find_folder(folder))
    if as_json:
        print(json.dumps([state.as_json() for state in states], indent=1))
        return
    if not states:
        print("no site is registered yet; sitebridge coordinator register NAME REQUEST.json")
        return
    _console().print(sites_table(states))
    if any(state.presence.connected is None for state in states):
        print("the coordinator is not up, so that nobody can be connected; start it: sitebridge coordinator up")


@app.command()
def run(
    federation: Annotated[Path, typer.Argument(help="The federation's TOML file.")],
    folder: At = HERE,
    check: Annotated[bool, typer.Option("--check", help="Only check the file and print its digest.")] = False,
) -> None:
    """Run a federation over the registered sites; exit code 0 where it is complete."""
    from common.config import digest, load_federation
    from server.coordinator.flower import Flower
    from server.coordinator.runs import check_deployable, new_run, refuse_second

    found = find_folder(folder)
    checked = load_federation(federation)
    check_deployable(found, checked, federation)
    print(f"federation {checked.name}, digest {digest(checked)}", flush=True)
    if check:
        return
    refuse_second(found, Flower(found))
    _start(found, new_run(found, checked), checked)


@app.command()
def resume(name: Annotated[str, typer.Argument(metavar="RUN", help="The run.")], folder: At = HERE) -> None:
    """Go on with a run that was cut off, to the same bits."""
    from server.coordinator.flower import Flower
    from server.coordinator.runs import check_deployable, check_resumable, find_run, refuse_second

    found = find_folder(folder)
    cut = find_run(found, name)
    check_resumable(cut)
    checked = cut.federation
    check_deployable(found, checked, cut.folder)
    refuse_second(found, Flower(found))
    _start(found, cut, checked)


@app.command()
def stop(folder: At = HERE) -> None:
    """Stop the run that is live; it can be resumed."""
    from server.coordinator.flower import Flower
    from server.coordinator.runs import live_run
    from server.coordinator.runs import stop as end

    found = find_folder(folder)
    flower = Flower(found)
    live = live_run(found, flower)
    if live is None:
        raise ConfigError("no run is live; there is nothing to stop")
    end(live, flower)
    print(f"{live.name} is stopped; resume with: sitebridge coordinator resume {live.name}")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run in full.")] = None,
    folder: At = HERE,
    as_json: Json = False,
) -> None:
    """Show the coordinator's health and its runs, or one run in full."""
    from server.coordinator.printing import print_health, print_run, runs_table
    from server.coordinator.runs import every_run, find_run
    from server.coordinator.status import health, run_states
    from server.summary import show

    found = find_folder(folder)
    states = run_states(found, [find_run(found, name)] if name else every_run(found))
    whole = None if name else health(found)
    if as_json:
        runs = [asdict(state) for state in states]
        content = runs[0] if whole is None else {**asdict(whole), "runs": runs}
        print(json.dumps(content, indent=1, default=str))
        return
    console = _console()
    if whole is None:
        print_run(console, states[0])
        if states[0].state == "complete":
            ended = find_run(found, states[0].name)
            show(ended.folder, ended.federation)
        return
    print_health(console, whole)
    if states:
        console.print(runs_table(states))


def _start(folder: Folder, run: Run, federation: Federation) -> None:
    """Start a run, follow it to its end, and show its table."""
    from server.coordinator.flower import Flower
    from server.coordinator.follow import follow, screen
    from server.coordinator.runs import start
    from server.summary import show

    flower = Flower(folder)
    since = run.events()[1]
    start(run, flower)
    print(f"run {run.name}", flush=True)
    try:
        with screen(_console()) as shown:
            outcome = follow(run, flower, since, shown)
    except KeyboardInterrupt:
        look, end = f"sitebridge coordinator status {run.name}", "sitebridge coordinator stop"
        print(f"{run.name} goes on; look at it: {look}; end it: {end}")
        raise typer.Exit(130) from None
    if not outcome.ok:
        raise SitebridgeError(f"{outcome.text}; resume with: sitebridge coordinator resume {run.name}")
    show(run.folder, federation)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)
