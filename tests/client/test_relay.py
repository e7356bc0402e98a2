"""The relay: it has no data and no torch, waits for an agent that is away, and not for ever."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, RecordDict

from client.frames import encode, header_of, receive
from client.relay import answer
from common.tasks import Answer, Request

ANSWER = Answer("ok", "a", {"n": 12.0}, "", {"linear": np.ones(3, np.float32)}, ("auroc",))
Serve = Callable[[socket.socket], None]

RELAY = """
import sys
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
from client.app import app
message = Message(RecordDict({"config": ConfigRecord({"task": "{}"})}), 2, "train")
message.metadata.__dict__["_message_id"] = "1"
reply = app(message, Context(1, 2, {"agent-socket": sys.argv[1]}, RecordDict(), {}))
print(reply.content.config_records["config"]["code"], reply.content.metric_records["figures"]["n"])
heavy = {"torch", "pandas", "pyarrow", "sklearn", "client.agent", "client.hosting", "client.site_file"}
print(sorted(heavy & set(sys.modules)))
"""


def give(connection: socket.socket) -> None:
    """Answer as an agent does."""
    receive(connection)
    connection.sendall(encode(header_of(ANSWER), ANSWER.arrays)[0])


def hang_up(connection: socket.socket) -> None:
    """Die with the request in hand."""
    receive(connection)


def agent(path: Path, *turns: Serve, after: float = 0.0) -> threading.Thread:
    """Stand in for an agent that takes so many connections, one after the other."""

    def run() -> None:
        time.sleep(after)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            for turn in turns:
                connection, _ = listener.accept()
                with connection:
                    turn(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ask(path: Path, patience: float = 20) -> Answer:
    config: Any = {"agent-socket": str(path), "agent-patience": patience}
    return answer(Request("{}", {"cnn+linear": np.ones(4, np.float32)}, 0.5), Context(1, 1, config, RecordDict(), {}))


def test_an_answer_is_brought_back_as_it_is(tmp_path: Path) -> None:
    agent(tmp_path / "s", give)
    came = ask(tmp_path / "s")
    assert (came.code, came.site, came.figures, came.withheld) == ("ok", "a", {"n": 12.0}, ("auroc",))
    assert came.arrays["linear"].tolist() == [1, 1, 1]


def test_relaying_imports_no_torch_and_nothing_that_reads_a_cohort(tmp_path: Path) -> None:
    agent(tmp_path / "s", give)
    command = [sys.executable, "-c", RELAY, str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[:2] == ["ok 12.0", "[]"], done.stderr


def test_an_agent_that_is_away_or_dies_is_asked_again(tmp_path: Path) -> None:
    agent(tmp_path / "s", hang_up, hang_up, give, after=0.2)
    assert ask(tmp_path / "s").code == "ok"


def test_an_agent_that_dies_of_a_request_is_left_alone(tmp_path: Path) -> None:
    agent(tmp_path / "s", hang_up, hang_up, hang_up, give)
    assert ask(tmp_path / "s").code == "agent-down"


def test_an_agent_that_stays_away_is_said_to(tmp_path: Path) -> None:
    assert ask(tmp_path / "nobody", patience=0).code == "agent-down"


def test_a_request_that_no_frame_can_hold_is_refused_here(tmp_path: Path) -> None:
    config: Any = {"agent-socket": str(tmp_path / "s")}
    huge = {"cnn+linear": np.zeros(2**24 + 1, np.float32)}
    for request in (Request("{}", huge), Request("{}", {}, float("nan"))):
        assert answer(request, Context(1, 1, config, RecordDict(), {})).code == "bad-task"


@pytest.mark.parametrize("reply", [b"", b"SBRG", b"HTTP/1.1 200 OK and more than a head"])
def test_what_is_no_answer_is_taken_for_none(tmp_path: Path, reply: bytes) -> None:
    def babble(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(reply)

    agent(tmp_path / "s", babble, babble, give)
    assert ask(tmp_path / "s").code == "ok"
