"""What a site's policy keeps back of an answer, and how it says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.policy import Policy
from client.site_file import load_site
from common import __version__
from common.config import Training
from common.errors import ConfigError
from common.figures import CURVE, LEAVING, METRICS
from common.model import initial_weights
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Answer, Embedding, Request, Work
from common.wire import pack

MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
TRAINING = Training(rounds=2, epochs=1, batches=4, batch_size=32, optimiser="sgd", learning_rate=0.01)
SHAPE = ModelShape()
WEIGHTS = pack(initial_weights(384, SHAPE, 0), EVERYTHING, 384, SHAPE)
Ask = Callable[..., Answer]


@pytest.fixture
def ask(hospitals: Path, tmp_path: Path) -> Ask:
    """Ask a site with such a policy."""

    def answer(policy: str, **changes: Any) -> Answer:
        for file in hospitals.glob("allegheny.*"):
            shutil.copy(file, tmp_path)
        path = tmp_path / "allegheny.toml"
        path.write_text(path.read_text().split("[policy]")[0] + f"[policy]\n{policy}\n")
        fields = {"version": __version__, "strategy": "full", "embedding": MINILM, "model": SHAPE, "seed": 1}
        fields |= {"training": TRAINING, "score": ("validation", "test"), "threshold": 0.3, "intervals": 100}
        task = Work.model_validate(fields | changes)
        return Agent([load_site(path)]).answer(Request(task.model_dump_json(), dict(WEIGHTS)))

    return answer


def test_by_default_every_metric_leaves_and_none_is_withheld(ask: Ask) -> None:
    answer = ask("")
    assert answer.withheld == ()
    assert {f"test.{metric}" for metric in METRICS} <= set(answer.figures)
    assert answer.figures["test.curve.00.from"] == 0.0
    counts = [name for name in answer.figures if name.startswith("test.curve.") and name.endswith(".n")]
    assert sum(answer.figures[name] for name in counts) == answer.figures["test.n"]


def test_a_metric_that_may_not_leave_is_named_with_none_of_its_figures(ask: Ask) -> None:
    answer = ask('metrics = ["auroc"]')
    assert answer.withheld == LEAVING[1:]
    assert {name.split(".")[1] for name in answer.figures if "." in name} == {"auroc", "n", "positive"}
    assert "test.auroc.low" in answer.figures
    came = ask('metrics = ["auprc"]', strategy="source", score=("validation",))
    assert "auroc" in came.withheld
    assert not [name for name in came.figures if "auroc" in name]


def test_what_a_min_cell_suppresses_is_named_too(ask: Ask) -> None:
    silent = ask("min_cell = 400", strategy="direct", training=None)
    assert set(silent.figures) == set()
    assert silent.withheld == LEAVING
    assert ask("min_cell = 400", strategy="direct", training=None, threshold=None).withheld == (*METRICS[:5], CURVE)
    hits = ask("", strategy="direct", training=None, threshold=1.0)  # nobody is called positive: none at all is told
    assert hits.withheld == ()
    chosen = ask("min_cell = 100", strategy="direct", training=None, threshold=None, choose_threshold=True)
    assert {"sensitivity", "specificity"} <= set(chosen.withheld)


@pytest.mark.parametrize(("strategy", "name"), [("source", "cnn+linear"), ("full", "cnn+linear"), ("linear", "linear")])
def test_weights_that_moved_too_far_stay_home(ask: Ask, strategy: str, name: str) -> None:
    values = ask("", strategy=strategy).arrays[name]
    moved = float(np.linalg.norm(values.astype(float) - WEIGHTS["cnn+linear"][-values.size :]))
    assert ask(f"max_change = {moved * 1.001}", strategy=strategy).code == "ok"
    far = ask(f"max_change = {moved * 0.999}", strategy=strategy)
    assert (far.code, far.figures, far.arrays) == ("too-far", {}, {})
    assert ask("max_change = 1e-9", strategy="local").code == "ok"  # of this one no weight leaves


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('metrics = ["aurok"]', "'aurok' is not a metric"),
        ('metrics = ["auroc", "auroc"]', "names a metric twice"),
        ("max_change = 0", "max_change"),
        ("max_change = inf", "max_change"),
        ("max_tasks = 0", "max_tasks"),
        ('federations = ["a"]', "federations needs approval = true"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(ask: Ask, line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ask(line)


def test_defaults_keep_what_simulations_did() -> None:
    policy = Policy()
    assert (policy.approval, policy.federations, policy.max_change, policy.metrics) == (False, None, None, LEAVING)
