"""Whatever is sent to the agent, and whenever it is killed, audit log and ledger stay whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.audit import LOG, verify
from client.audit.chain import read_lines
from client.audit.log import AuditLog
from client.frames import encode
from client.ledger import LEDGER, Ledger
from client.service import Service
from common import __version__
from common.tasks import FAILURES, Embedding, Greet

Site = Any

BUSY = """
import sys
from pathlib import Path
from client.audit.log import AuditLog
from client.ledger import Ledger
from common.tasks import Embedding, Greet
folder = Path(sys.argv[1])
log, ledger = AuditLog(folder), Ledger(folder)
embedding = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
for session in range(ledger.current[1] + 1, 10**6):
    log.append({"direction": "in", "run": "r", "what": "greet", "session": session})
    ledger.greet(Greet(version="1", run="r", session=session, embedding=embedding))
    log.append({"direction": "out", "run": "r", "what": "greet", "session": session})
"""


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_killed_at_any_moment_both_are_readable_and_go_on(tmp_path: Path) -> None:
    for number in range(6):
        process = subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path)])
        size, until = size_of(tmp_path / LOG), time.monotonic() + 60
        while time.monotonic() < until and size_of(tmp_path / LOG) <= size:
            time.sleep(0.001)
        while time.monotonic() < until and number == 5 and not (tmp_path / LEDGER).exists():
            time.sleep(0.001)  # on a busy machine it is late, and was killed before it five times
        time.sleep(0.003 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        assert [problem for problem in verify(tmp_path) if "torn" not in problem] == []
        last = [line.record for line in read_lines(tmp_path / LOG) if line.record][-1]
        served = Ledger(tmp_path).current[1]
        assert served - 1 <= last["session"] <= served + 1
    AuditLog(tmp_path).append({"direction": "note", "note": "the agent was started"})
    assert verify(tmp_path) == []
    assert json.loads((tmp_path / LEDGER).read_text())["run"] == "r"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Iterator[Service]:
    made = Service(hospitals / "allegheny.toml", tmp_path_factory.mktemp("agent"))
    made.desk.ledger.greet(Greet(version=__version__, run="r", session=1, embedding=MINILM))
    yield made
    made.close()


MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TASK = {"version": __version__, "run": "r", "session": 1, "strategy": "direct", "embedding": MINILM.model_dump()}
TASK |= {"kind": "work", "model": {"filters": 2}, "training": None, "seed": 1, "score": ["test"]}
FIELD = st.sampled_from([*TASK, "round", "threshold", "intervals", "choose_threshold", "federation"])
TASKS = st.builds(lambda field, value: json.dumps(TASK | {field: value}), FIELD, JSON) | JSON.map(json.dumps)
ARRAYS = st.dictionaries(st.sampled_from(["cnn+linear", "linear", "x"]), st.integers(0, 900), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=TASKS | st.text(max_size=9), sizes=ARRAYS, fill=st.sampled_from([0.0, np.nan, np.inf, 3e38]))
def test_whatever_task_comes_the_answer_is_on_the_list(
    service: Service, monkeypatch: pytest.MonkeyPatch, task: str, sizes: dict[str, int], fill: float
) -> None:
    arrays: Any = {name: np.full(size, fill, np.float32) for name, size in sizes.items()}
    answer = exchange(service, monkeypatch, encode({"task": task, "proximal_mu": 0.0}, arrays)[0])
    assert json.loads(answer[18 : 18 + int.from_bytes(answer[6:10], "big")])["code"] in {"ok", *FAILURES}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"SBRG\0\1" + rest))
def test_whatever_bytes_come_the_agent_lives_on(service: Service, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    answer = exchange(service, monkeypatch, data)
    assert (answer[:4] == b"SBRG") == bool(data)


def exchange(service: Service, monkeypatch: pytest.MonkeyPatch, data: bytes) -> bytes:
    """Attend to one connection, and give what was answered; the audit log must verify after it."""
    monkeypatch.setattr("client.service._PENALTY", 0.0)
    near, far = socket.socketpair()
    with near:
        near.sendall(data)
        near.shutdown(socket.SHUT_WR)
        with far:
            service.attend(far)
        answer = b"".join(iter(lambda: near.recv(65536), b""))
    assert verify(service.audit.folder) == []
    return answer
