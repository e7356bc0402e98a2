"""Killed at a named point between charge and send, a site has never charged less than what left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.agent import Agent
from client.audit.chain import LOG
from client.privacy.accounting import Charge
from client.privacy.ledger import PrivacyLedger, together
from client.privacy.protection import population_of
from client.site_file import load_site
from common import __version__
from common.config import Training
from common.model import initial_weights
from common.privacy import Privacy
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Arrays, Embedding, Request, Work
from common.wire import pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
SHAPE = ModelShape()
TRAINING = Training(rounds=1, epochs=2, batches=4, batch_size=100, optimiser="sgd", learning_rate=0.1)
WORK = Work(
    version=__version__,
    run="r",
    session=1,
    strategy="source",
    embedding=MINILM,
    model=SHAPE,
    training=TRAINING,
    seed=1,
    privacy=Privacy(noise_multiplier=2.0),
)
WEIGHTS: Arrays = dict(pack(initial_weights(384, SHAPE, 0), EVERYTHING, 384, SHAPE))
REQUEST = Request(WORK.model_dump_json(), WEIGHTS)

KILLED = """
import os, signal, sys
from importlib import import_module
from pathlib import Path
from client.service import Service
from common.tasks import Greet

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

sys.path.insert(0, sys.argv[3])
from test_killed import MINILM, REQUEST, WORK
from common import __version__
module, _, name = sys.argv[4].rpartition(":")
owner = import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
service = Service(Path(sys.argv[1]), Path(sys.argv[2]))
service.desk.ledger.greet(Greet(version=__version__, run="r", session=1, embedding=MINILM))
setattr(owner, last, die)
answer = service.desk.answer(REQUEST, WORK)
service._send(None, WORK, answer)
"""
POINTS = {
    "client.privacy.ledger:write_atomically": 0,  # before the charge
    "client.privacy.training:Guard.train_round": 1,  # after it, before training
    "client.service:leaves": 1,  # before the audit log and the wire have the answer
}


@pytest.mark.parametrize(("point", "charged"), POINTS.items())
def test_killed_anywhere_never_less_is_charged_than_left(
    hospitals: Path, tmp_path: Path, point: str, charged: int
) -> None:
    for file in hospitals.glob("allegheny.*"):
        shutil.copy(file, tmp_path)
    folder, path = tmp_path / "agent", tmp_path / "allegheny.toml"
    path.write_text(path.read_text() + "\n[policy.privacy]\nepsilon = 5.0\n")
    folder.mkdir()
    arguments = [sys.executable, "-c", KILLED, str(path), str(folder), str(Path(__file__).parent), point]
    done = subprocess.run(arguments, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    agent = Agent([load_site(path)], PrivacyLedger(folder))
    once = Charge(100 / len(agent._prepare(MINILM).splits["train"]), 2.0, 8)
    mine = population_of(agent.sites[0])
    assert together(agent.ledger.spent(mine)) == [once] * charged
    left = [line for line in (folder / LOG).read_text().splitlines() if '"direction":"out"' in line]
    assert len(left) <= charged
    assert agent.answer(REQUEST).code == "ok"  # done again, with noise of its own, and paid for again
    assert together(PrivacyLedger(folder).spent(mine)) == [Charge(once.rate, 2.0, 8 * (1 + charged))]
