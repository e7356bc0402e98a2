"""A run tells line by line what happens in it, to whoever follows from another process."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.agent import Agent
from common.config import Federation, digest
from common.embeddings import Fingerprint
from common.errors import SiteError
from common.tasks import Answer, Embedding, Request, Task
from server.attendance import Attendance
from server.simulate import run

Make = Callable[..., Federation]
ONE = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_run_tells_its_steps_scores_and_end(federation: Make, tmp_path: Path) -> None:
    run(federation(directions=ONE, strategies=["direct"]), tmp_path / "federation.toml", tmp_path / "run")
    told = events(tmp_path / "run")
    assert [each["kind"] for each in told] == [
        "begin", "greeted", "greeted", "space", "step", "step", "score", "step", "step", "score", "end",
    ]  # fmt: skip
    assert told[0]["steps"] == 4
    assert (told[1]["site"], told[1]["version"]) == ("allegheny", "0.1.0")
    assert told[1]["fingerprint"] == told[2]["fingerprint"]
    space = Embedding.model_validate(told[3]["embedding"])
    assert (space.name, Fingerprint.from_json(told[3]["fingerprint"]).digest[:16]) == ("minilm", told[1]["fingerprint"])
    assert (told[9]["strategy"], told[9]["site"], told[9]["sources"]) == ("direct", "salt-lake", "allegheny")
    assert isinstance(told[9]["auroc"], float)
    assert (told[10]["ok"], told[10]["text"]) == (True, "")


def test_a_round_notes_how_the_model_of_the_round_before_did(federation: Make, tmp_path: Path) -> None:
    short = {"rounds": 3, "epochs": 1, "batches": 4, "patience": 3}
    run(federation(directions=ONE, strategies=["direct"], training=short), tmp_path / "f.toml", tmp_path / "run")
    rounds = pd.read_csv(tmp_path / "run" / "rounds.csv")
    trained = rounds[(rounds["phase"] == "source") & (rounds["round"] > 0)]
    assert list(trained["validation_auroc"].notna()) == [False, True, True]
    assert trained["validation_auroc"][1:].between(0, 1).all()


def test_a_site_that_fails_ends_the_run_in_words(
    federation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Agent.answer

    def answer(self: Agent, request: Request) -> Answer:
        return real(self, request) if '"greet"' in request.task else Answer("bad-cohort", self.name)

    monkeypatch.setattr(Agent, "answer", answer)
    with pytest.raises(SiteError):
        run(federation(directions=ONE), tmp_path / "federation.toml", tmp_path / "run")
    end = events(tmp_path / "run")[-1]
    assert (end["kind"], end["ok"]) == ("end", False)
    assert str(end["text"]).startswith("source, round 1: site allegheny: the site's cohort cannot be read")


def test_a_full_disk_ends_the_run_by_name(federation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Attendance, *args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "rounds.csv")

    monkeypatch.setattr(Attendance, "note", full)
    with pytest.raises(OSError, match="No space left"):
        run(federation(directions=ONE), tmp_path / "federation.toml", tmp_path / "run")
    assert events(tmp_path / "run")[-1]["text"] == "coordinator: No space left on device: rounds.csv"


def test_every_task_says_which_start_of_which_run_it_belongs_to(
    federation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []
    real = Agent.answer

    def answer(self: Agent, request: Request) -> Answer:
        tasks.append(Task(**{key: json.loads(request.task)[key] for key in Task.model_fields}))
        return real(self, request)

    monkeypatch.setattr(Agent, "answer", answer)
    checked = federation(directions=ONE, strategies=["direct"])
    for name in ("first", "second"):
        run(checked, tmp_path / "federation.toml", tmp_path / name)
    assert {task.run for task in tasks} == {"first", "second"}
    assert {task.federation for task in tasks} == {digest(checked)}
    first, second = ({task.session for task in tasks if task.run == name} for name in ("first", "second"))
    assert len(first) == len(second) == 1
    assert first.pop() < second.pop()


def test_the_digest_is_of_what_sites_are_asked_and_of_nothing_else(federation: Make) -> None:
    whole = digest(federation())
    assert digest(federation(failures={"retries": 7})) == whole
    assert digest(federation(sites={"allegheny": {}, "salt-lake": {}})) == whole
    assert digest(federation(preset="default")) == whole
    assert len({whole, digest(federation(seeds=[8])), digest(federation(training={"rounds": 3}))}) == 3
