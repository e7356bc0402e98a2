"""A run that is cut off anywhere goes on to the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.agent import Agent
from common.config import Federation
from common.errors import ConfigError
from common.tasks import Answer, Request
from server.simulate import resume, run

Make = Callable[..., Federation]


class CutOff(BaseException):
    """As abrupt as a kill that a process can still be told of."""


def run_cut_off_at(number: int, checked: Federation, path: Path, folder: Path) -> None:
    """Start a run, and cut it off when an agent is asked for the `number`-th time."""
    asked = 0
    real = Agent.answer

    def answer(self: Agent, request: Request) -> Answer:
        nonlocal asked
        asked += 1
        if asked == number:
            raise CutOff
        return real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", answer)
        with pytest.raises(CutOff):
            run(checked, path, folder)


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "events.jsonl"]  # has times
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["FedAvg", "FedAdam"])
def test_a_run_goes_on_to_the_same_bytes_wherever_it_was_cut_off(federation: Make, tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = {
        "strategies": ["local", "direct", "linear", "full", "pooled"],
        "training": {"rounds": 3},
        "aggregation": {"name": name},
    }
    checked, path = federation(**changes), tmp_path / "federation.toml"
    run(checked, path, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert not [file for file in whole if file.startswith("journal")]
    for number in (6, 9, 14, 22):
        folder = tmp_path / f"cut{number:02}"
        run_cut_off_at(number, checked, path, folder)
        assert (folder / "journal").is_dir()
        resume(folder)
        resumed = contents(folder)
        assert {file for file in whole if whole[file] != resumed.get(file)} <= {"federation.toml"}
        assert resumed.keys() == whole.keys()


def test_what_was_answered_is_not_asked_again(federation: Make, tmp_path: Path) -> None:
    checked, path = federation(strategies=["local"]), tmp_path / "federation.toml"
    run_cut_off_at(4, checked, path, tmp_path / "run")  # two greetings and one answer before
    assert len(list((tmp_path / "run" / "journal").iterdir())) == 1
    asked: list[str] = []
    real = Agent.answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", lambda self, request: (asked.append(self.name), real(self, request))[1])
        resume(tmp_path / "run")
        resumed = len(asked)
        run(checked, path, tmp_path / "whole")
    assert resumed == len(asked) - resumed - 1  # all but the one that had answered


def test_a_journal_of_another_configuration_is_refused(federation: Make, tmp_path: Path) -> None:
    checked, path = federation(strategies=["local"]), tmp_path / "federation.toml"
    run_cut_off_at(4, checked, path, tmp_path / "run")
    resolved = tmp_path / "run" / "federation.toml"
    resolved.write_text(resolved.read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    with pytest.raises(ConfigError, match="answers another question; resume with the run's own"):
        resume(tmp_path / "run")


def test_a_run_cut_off_is_not_started_anew_over_its_answers(federation: Make, tmp_path: Path) -> None:
    checked, path = federation(strategies=["local"]), tmp_path / "federation.toml"
    run_cut_off_at(4, checked, path, tmp_path / "run")
    with pytest.raises(ConfigError, match="to go on with the run, name the folder instead of the file"):
        run(checked, path, tmp_path / "run")


def test_a_complete_run_has_nothing_to_resume(federation: Make, tmp_path: Path) -> None:
    run(federation(strategies=["local"]), tmp_path / "federation.toml", tmp_path / "run")
    with pytest.raises(ConfigError, match="no run to resume here"):
        resume(tmp_path / "run")
