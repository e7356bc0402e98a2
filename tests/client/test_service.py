"""The agent's process: answers as in process, one at a time, each in the audit log before it leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.audit import LOG, verify
from client.audit.chain import Record, read_lines
from client.audit.log import AuditLog
from client.service import serve
from client.site_file import load_site
from client.state import read_state
from common import __version__
from common.config import Training
from common.errors import ConfigError
from common.model import initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Answer, Arrays, Embedding, Greet, Request, Work
from common.wire import pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=1, epochs=1, batches=4, batch_size=32, optimiser="sgd", learning_rate=0.01)
SHAPE = ModelShape()
Site = Any  # the fixtures' class


def weights() -> Arrays:
    return dict(pack(initial_weights(384, SHAPE, 0), EVERYTHING, 384, SHAPE))


def greeting(run: str = "r", session: int = 1) -> Request:
    return Request(Greet(version=__version__, run=run, session=session, embedding=MINILM).model_dump_json())


def work(**changes: Any) -> Request:
    fields = {"version": __version__, "run": "r", "session": 1, "strategy": "full", "embedding": MINILM, "seed": 1}
    fields |= {"model": SHAPE, "training": TRAINING, "score": ("validation", "test"), "threshold": 0.3}
    return Request(Work.model_validate(fields | changes).model_dump_json(), weights())


def records(site: Site) -> list[Record]:
    return [line.record for line in read_lines(site.agent / LOG) if line.record]


def same(a: Answer, b: Answer) -> bool:
    arrays = {name: values.tobytes() for name, values in a.arrays.items()}
    words = (a.code, a.site, a.figures, a.facts, a.withheld)
    return words == (b.code, b.site, b.figures, b.facts, b.withheld) and arrays == {
        name: values.tobytes() for name, values in b.arrays.items()
    }


def test_the_socket_gives_what_the_process_gives(deployed: Site) -> None:
    agent = Agent([load_site(deployed.site_file)])
    requests = [greeting(), work(strategy="direct", training=None)]
    requests += [work(strategy=name) for name in ("source", "local", "linear", "full")]
    requests += [work(strategy="source", round=200), Request("{"), work(training=None)]
    requests += [Request('{"a": [' + "[]," * 2000 + "[]]}"), Request("[" * 900)]
    for request in requests:
        assert same(deployed.ask(request), agent.answer(request)), request.task


def test_every_message_is_in_the_audit_log_and_no_value_is(deployed: Site) -> None:
    answers = [deployed.ask(request) for request in (greeting(), work(), work(strategy="everything"))]
    lines = records(deployed)
    assert [(r["direction"], r.get("what"), r.get("decision")) for r in lines[1:]] == [
        ("in", "greet", "received"),
        ("out", "greet", "ok"),
        ("in", "full", "received"),
        ("out", "full", "ok"),
        ("in", "everything", "received"),
        ("out", "everything", "refused"),
    ]
    came, left = lines[3], lines[4]
    assert came["arrays"][0] | {"sha256": ""} == {
        "name": "cnn+linear", "shape": [38_702], "numbers": 38_702, "sha256": ""
    }  # fmt: skip
    assert left["bytes"] > 4 * 38_702
    assert sorted(answers[1].figures) == left["figures"]
    assert all(repr(value) not in json.dumps(left) for name, value in answers[1].figures.items() if "auroc" in name)
    assert verify(deployed.agent) == []


def test_nothing_leaves_that_the_audit_log_could_not_hold(deployed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = AuditLog.append

    def full(self: AuditLog, record: Record) -> None:
        if record["direction"] == "out":
            raise OSError(28, "No space left on device")
        real(self, record)

    with monkeypatch.context() as disk:
        disk.setattr(AuditLog, "append", full)
        assert deployed.ask(greeting()).code == "agent-down"
    assert deployed.ask(greeting()).code == "ok"


def test_an_answer_is_in_the_audit_log_before_it_can_be_read(deployed: Site) -> None:
    for _ in range(3):
        deployed.ask(greeting())
        assert records(deployed)[-1]["direction"] == "out"


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SBRG\x00\x01" + b"\xff" * 12,
        b"SBRG\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00{}",
        b"SB",
    ],
)
def test_whatever_comes_the_agent_lives_on_and_writes_it_down(deployed: Site, rubbish: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(deployed.socket))
        stranger.sendall(rubbish)
        stranger.shutdown(socket.SHUT_WR)
        assert b'"code": "bad-task"' in stranger.recv(10_000)
    assert deployed.ask(greeting()).code == "ok"
    assert records(deployed)[1]["what"] == "unreadable"
    assert records(deployed)[1]["why"]


def test_a_relay_of_another_protocol_hears_so_though_it_sent_more(deployed: Site) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(deployed.socket))
        stranger.sendall(b"SBRG\x00\x02" + b"\x00" * 1_000_000)
        stranger.shutdown(socket.SHUT_WR)
        assert b'"code": "bad-task"' in stranger.recv(10_000)


def test_a_look_at_the_socket_is_no_message(deployed: Site) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(deployed.socket))
    assert deployed.ask(greeting()).code == "ok"
    assert len(records(deployed)) == 3


def test_relays_queue_and_each_gets_its_own_answer(deployed: Site) -> None:
    deployed.ask(greeting())
    requests = [work(strategy="linear", seed=seed) for seed in range(4)]
    answers: dict[int, Answer] = {}

    def ask(seed: int) -> None:
        answers[seed] = deployed.ask(requests[seed])

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    agent = Agent([load_site(deployed.site_file)])
    assert all(same(answers[seed], agent.answer(request)) for seed, request in enumerate(requests))
    directions = [record["direction"] for record in records(deployed)[1:]]
    assert directions == ["in", "out"] * 5


def test_what_was_not_heard_is_answered_again_without_training_again(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.ask(greeting())
    first = deployed.ask(work())
    monkeypatch.setattr("client.agent.train_steps", lambda *_: 1 / 0)
    assert same(deployed.ask(work()), first)
    resumed = deployed.ask(greeting(session=2))
    assert resumed.code == "ok"
    assert same(deployed.ask(work(session=2)), first)


def test_a_message_of_an_old_run_is_refused(deployed: Site) -> None:
    deployed.ask(greeting())
    old = work()
    assert deployed.ask(old).code == "ok"
    assert deployed.ask(greeting("s", 2)).code == "ok"
    assert deployed.ask(old).code == "old-run"
    assert deployed.ask(greeting()).code == "old-run"
    deployed.end()
    deployed.start()
    assert deployed.ask(old).code == "old-run"


def test_tasks_are_counted_and_a_refused_one_touches_nothing(deployed: Site) -> None:
    deployed.policy("max_tasks = 1")
    deployed.ask(greeting())
    assert [deployed.ask(work(seed=seed)).code for seed in (1, 2, 1)] == ["ok", "refused", "ok"]


def test_a_site_file_is_read_again_when_it_changes(site: Site) -> None:
    whole = site.site_file.read_text()
    site.site_file.write_text(whole.replace("[policy]", "[polcy]"))
    site.start()
    assert site.ask(greeting()).code == "bad-site-file"
    assert "polcy" in read_state(site.agent)["site_file"]
    site.site_file.write_text(whole)
    assert site.ask(greeting()).code == "ok"
    assert site.ask(work()).code == "ok"
    state = read_state(site.agent)
    assert state["site_file"] == "ok"
    assert state["cohort"]["minilm"]["test"] == 500
    site.policy('strategies = ["direct"]')
    assert site.ask(work()).code == "refused"
    state = read_state(site.agent)
    assert (state["last"]["code"], state["error"]["code"]) == ("refused", "refused")
    assert "policy.strategies" in state["error"]["text"]
    assert "policy.strategies" in (site.agent / "site.log").read_text()
    site.site_file.unlink()
    assert site.ask(work()).code == "bad-site-file"


def test_a_new_run_sees_the_data_as_they_are(deployed: Site) -> None:
    deployed.ask(greeting())
    before = deployed.ask(work(strategy="direct", training=None)).figures["test.n"]
    table = deployed.folder / "allegheny.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-40]))
    assert deployed.ask(work(strategy="direct", training=None, seed=2)).figures["test.n"] == before
    deployed.ask(greeting("s", 2))
    fewer = deployed.ask(work(strategy="direct", training=None, run="s", session=2)).figures["test.n"]
    assert fewer < before


def test_the_socket_is_for_its_owner_and_group_and_taken_once(site: Site, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.socket))  # nobody listens
    site.start()
    site.ask(greeting())
    assert stat.S_IMODE(site.socket.stat().st_mode) == 0o660
    with pytest.raises(ConfigError, match="another agent listens"):
        serve(site.site_file, tmp_path / "other", site.socket)
    with pytest.raises(ConfigError, match="another agent works"):
        serve(site.site_file, site.agent, tmp_path / "other.sock")
    site.end()
    assert not site.socket.exists()
    site.socket.write_text("a file")
    with pytest.raises(ConfigError, match="no socket"):
        serve(site.site_file, site.agent, site.socket)
    with pytest.raises(ConfigError, match="at most 106 bytes"):
        serve(site.site_file, site.agent, tmp_path / ("long" * 40) / "agent.sock")


def start_process(site: Site) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "client.service", str(site.site_file), str(site.agent), str(site.socket)]
    return subprocess.Popen(command)


def wait_until(holds: Any) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_an_agent_killed_while_it_trains_gives_the_same_bits_when_it_is_back(site: Site) -> None:
    site.patience = "120"
    long = work(training=TRAINING.model_copy(update={"epochs": 40, "batches": 100}))
    first = start_process(site)
    second: list[subprocess.Popen[bytes]] = []
    answers: list[Answer] = []
    try:
        site.ask(greeting())
        asking = threading.Thread(target=lambda: answers.append(site.ask(long)))
        asking.start()
        wait_until(lambda: (read_state(site.agent).get("working") or {}).get("what") == "full")
        os.kill(first.pid, signal.SIGKILL)
        first.wait(60)
        assert records(site)[-1]["direction"] == "in"
        second.append(start_process(site))
        asking.join(200)
    finally:
        for process in (first, *second):
            process.kill()
            process.wait(60)
    assert same(answers[0], Agent([load_site(site.site_file)]).answer(long))
    assert verify(site.agent) == []
    assert json.loads((site.agent / "ledger.json").read_text())["tasks"]["r"].__len__() == 1
    assert np.isfinite(answers[0].arrays["cnn+linear"]).all()


def test_a_cohort_that_one_patient_has_left_is_not_told_of(deployed: Site) -> None:
    assert [deployed.ask(request).code for request in (greeting(), work())] == ["ok", "ok"]
    cohort = deployed.folder / "allegheny.csv"
    cohort.write_text("\n".join(cohort.read_text().splitlines()[:-1]) + "\n")
    for run in ("second", "third"):
        session = {"second": 2, "third": 3}[run]
        assert deployed.ask(greeting(run, session)).code == "ok"
        assert deployed.ask(work(run=run, session=session)).code == "too-alike"
    deployed.policy("differencing = true")
    assert deployed.ask(work(run="third", session=3)).code == "ok"
