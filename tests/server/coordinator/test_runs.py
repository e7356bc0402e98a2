"""What a run's folder says of it, whatever was killed; the SuperLink is a stand-in here."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from common.config import digest, load_federation
from common.errors import ConfigError
from server.coordinator import follow as following
from server.coordinator import status as telling
from server.coordinator.flower import FlowerError, NotUpError, Status
from server.coordinator.folder import Folder
from server.coordinator.follow import Outcome, follow
from server.coordinator.registry import Site
from server.coordinator.runs import (
    Run,
    check_deployable,
    check_resumable,
    every_run,
    find_run,
    new_run,
    refuse_second,
    start,
    stop,
)
from server.coordinator.status import run_states

Write = Callable[..., Path]
BEGIN = {"kind": "begin", "steps": 3}
STEP = {"kind": "step", "text": "round 1 at allegheny"}
END = {"kind": "end", "ok": True, "text": ""}
FAILED = {"kind": "end", "ok": False, "text": "site allegheny: it is away"}


class StandIn:
    """What runs ask of Flower."""

    def __init__(self) -> None:
        self.known: dict[str, Status] = {}
        self.up = True

    def start(self, federation: Path, out: Path) -> str:
        assert federation.is_absolute()
        assert out.is_absolute()
        number = str(len(self.known) + 1)
        self.known[number] = Status("running")
        return number

    def stop(self, number: str) -> None:
        self.known[number] = Status("finished:stopped")

    def statuses(self) -> dict[str, Status]:
        if not self.up:
            raise NotUpError("the coordinator is not up")
        return self.known


class Recorder:
    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.noted: list[str] = []

    def show(self, event: dict[str, Any]) -> None:
        self.shown.append(event)

    def note(self, text: str) -> None:
        self.noted.append(text)


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(telling, "Flower", lambda folder: stand_in)
    monkeypatch.setattr(following, "_EVERY", 0.01)
    monkeypatch.setattr(following, "_ASK", 0.02)
    return stand_in


@pytest.fixture
def run(folder: Folder, flower: StandIn, write: Write) -> Run:
    made = new_run(folder, load_federation(write()))
    start(made, flower)  # type: ignore[arg-type]
    return made


def say(run: Run, *events: dict[str, Any]) -> None:
    with (run.folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def state(folder: Folder) -> tuple[str, int, int, str]:
    (told,) = run_states(folder, every_run(folder))
    return told.state, told.step, told.steps, told.why


def test_a_new_run_holds_the_whole_configuration_and_no_path_of_a_site(run: Run, write: Write) -> None:
    text = (run.folder / "federation.toml").read_text()
    assert "file" not in text
    assert digest(run.federation) == digest(load_federation(write())) == run.record.digest


def test_only_registered_sites_and_no_pooling(folder: Folder, write: Write) -> None:
    path = write(strategies=["direct", "pooled"])
    site = Site(name="allegheny", node="1", key="SHA256:x", registered="", version="")
    (folder.sites / "allegheny.json").write_text(site.model_dump_json())
    with pytest.raises(ConfigError, match="2 problems") as error:
        check_deployable(folder, load_federation(path), path)
    assert "'pooled' needs all encounters in one place" in str(error.value)
    assert "sites: salt-lake is not registered" in str(error.value)


def test_one_run_at_a_time(folder: Folder, flower: Any, run: Run) -> None:
    with pytest.raises(ConfigError, match=f"{run.name} is running, and there is one run at a time"):
        refuse_second(folder, flower)
    stop(run, flower)
    refuse_second(folder, flower)


def test_how_far_a_run_is(folder: Folder, flower: StandIn, run: Run) -> None:
    assert state(folder) == ("running", 0, 0, "")
    say(run, BEGIN, STEP, {"kind": "missing", "text": "round 1: salt-lake is away"})
    assert state(folder) == ("running", 1, 3, "")
    assert run_states(folder, [run])[0].missing == ("round 1: salt-lake is away",)
    flower.up = False
    assert state(folder) == ("waiting", 1, 3, "the coordinator is not up")
    say(run, STEP)
    assert run_states(folder, [run])[0].missing == ()  # what was done since has not waited
    say(run, {"kind": "missing", "text": "salt-lake is away"}, END)
    assert state(folder) == ("complete", 3, 3, "")  # rounds that early stopping spared are done
    assert (run_states(folder, [run])[0].missing, run_states(folder, [run])[0].doing) == ((), "")


def test_a_run_that_failed_is_started_again(folder: Folder, flower: Any, run: Run) -> None:
    say(run, BEGIN, STEP, STEP, FAILED)
    flower.known = {"1": Status("finished:failed", "an exception")}
    assert state(folder) == ("failed", 2, 3, "site allegheny: it is away")
    check_resumable(run)
    start(run, flower)
    say(run, BEGIN, STEP)
    assert state(folder) == ("running", 1, 3, "")
    assert run.record.starts == 2
    say(run, END)
    with pytest.raises(ConfigError, match="complete; there is nothing to resume"):
        check_resumable(run)


def test_a_run_with_drawn_noise_does_not_go_on(folder: Folder, flower: Any, write: Write) -> None:
    noise = {"noise_multiplier": 1.0, "clipping_norm": 1.0}
    made = new_run(folder, load_federation(write(aggregation={"name": "FedAvg", "noise": noise})))
    with pytest.raises(ConfigError, match="the noise would be another"):
        check_resumable(made)


def test_a_run_is_followed_to_its_end(flower: Any, run: Run) -> None:
    say(run, FAILED)
    since = run.events()[1]
    say(run, BEGIN, STEP, END)
    screen = Recorder()
    assert follow(run, flower, since, screen) == Outcome(True, "")
    assert screen.shown == [BEGIN, STEP, END]


def test_a_serverapp_that_was_killed_is_noticed(flower: Any, run: Run) -> None:
    say(run, BEGIN)
    flower.known["1"] = Status("finished:failed", "no heartbeat")
    outcome = follow(run, flower, 0, Recorder())
    said = "the ServerApp was ended before it could say why (Flower: finished:failed, no heartbeat)"
    assert outcome == Outcome(False, said)


def test_a_full_disk_is_named(flower: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_FULL", float("inf"))
    flower.known["1"] = Status("finished:failed")
    assert "the disk is full; make room" in follow(run, flower, 0, Recorder()).text


def test_while_the_coordinator_is_away_a_run_is_waited_for(flower: Any, run: Run) -> None:
    flower.up = False

    class Patient(Recorder):
        def note(self, text: str) -> None:
            super().note(text)
            say(run, END)

    screen = Patient()
    assert follow(run, flower, 0, screen).ok
    assert "goes on when it is up again" in screen.noted[0]


def test_a_stop_is_noticed(flower: Any, run: Run) -> None:
    stop(run, flower)
    flower.known["1"] = Status("running")  # Flower may take a moment
    assert follow(run, flower, 0, Recorder()) == Outcome(False, "stopped")
    flower.known["1"] = Status("finished:stopped")
    assert state_of(run) == "stopped"


def state_of(run: Run) -> str:
    return run_states(Folder(run.folder.parents[1]), [run])[0].state


def test_a_line_cut_short_is_left_for_later(run: Run) -> None:
    say(run, BEGIN)
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "st')
    events, since = run.events()
    assert events == [BEGIN]
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('ep", "text": ""}\nnot json\n[1]\n')
    assert run.events(since)[0] == [{"kind": "step", "text": ""}]


def test_finding_a_run(folder: Folder, run: Run) -> None:
    assert find_run(folder, run.name) == find_run(folder, str(run.folder)) == run
    with pytest.raises(ConfigError, match=f"no such run; runs are: {run.name}"):
        find_run(folder, "other")
    (run.folder / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"run\.json is missing or damaged"):
        _ = run.record


def test_a_flower_that_says_no_is_quoted() -> None:
    from server.coordinator.flower import _read

    assert _read('{"success": true, "node-id": 1}', "", "flwr x")["node-id"] == 1
    with pytest.raises(FlowerError, match="flwr x: in use"):
        _read('{"success": false, "error-message": "in use"}', "", "flwr x")
    with pytest.raises(FlowerError, match="flwr x: it broke"):
        _read("", "\n╭──╮\nit broke\n", "flwr x")


def test_on_a_terminal_scores_and_who_is_missing_are_lines() -> None:
    written = io.StringIO()
    score = {"embedding": "minilm", "seed": 7, "strategy": "direct", "sources": "a", "site": "b"}
    with following.screen(Console(file=written, force_terminal=True, width=100)) as shown:
        for event in (
            BEGIN,
            {"kind": "greeted", "site": "a", "version": "0.1.0", "embedding": "minilm", "fingerprint": "ab12"},
            STEP,
            {"kind": "score", **score, "auroc": 0.75},
            {"kind": "score", **score, "auroc": None},
            {"kind": "missing", "text": "[round 1]: c is away"},
        ):
            shown.show(event)
        shown.note("the coordinator is not up")
    said = written.getvalue()
    for words in ("a: Sitebridge 0.1.0, minilm table ab12", "a -> b AUROC 0.750", "AUROC not told", "[round 1]: c is"):
        assert words in said
    assert "1/3" in said
    assert "the coordinator is not up" in said


def test_off_a_terminal_only_who_is_missing_is_said_and_not_among_the_results(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = io.StringIO()
    with following.screen(Console(file=written)) as shown:
        for event in (BEGIN, STEP, {"kind": "missing", "time": "12:00", "text": "round 1: c is away"}):
            shown.show(event)
        shown.note("the coordinator is not up")
        shown.note("the coordinator is not up")
    assert written.getvalue() == ""
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "12:00 round 1: c is away\nthe coordinator is not up\n")
