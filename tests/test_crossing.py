"""Every message of a whole run is captured: nothing crosses but what may."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message, RecordDict

from client.site_file import load_site
from common.config import Federation
from common.figures import LEAVING, METRICS
from common.grid import InProcessGrid
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Greet, Work
from common.wire import unpack
from server.app import app
from server.simulate import _resolved

Make = Callable[..., Federation]
SCORES = {f"{metric}{end}" for metric in METRICS for end in ("", ".low", ".high")} | {"n", "positive"}
SPLITS = ("validation", "came.validation", "test")
FIGURES = {"num-examples", "threshold"} | {f"{split}.{name}" for split in SPLITS for name in SCORES}
FIGURES |= {f"test.curve.{number:02d}.{name}" for number in range(20) for name in ("from", "n", "positive")}


@pytest.fixture
def captured(federation: Make, hospitals: Path, tmp_path: Path) -> tuple[list[Message], Path]:
    """A whole run with every strategy; its messages, and its folder."""
    checked = federation(strategies=["local", "direct", "linear", "full", "pooled"], embeddings=["minilm", "one-hot"])
    files = {name: hospitals / f"{name}.toml" for name in checked.sites}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "federation.toml").write_text(_resolved(checked, files))
    nodes = {name: {"site-files": str(file)} for name, file in files.items()}
    grid = InProcessGrid({**nodes, "pooled": {"site-files": "|".join(map(str, files.values()))}})
    messages: list[Message] = []
    grid.observers.append(messages.append)
    config = {"federation": str(folder / "federation.toml"), "out": str(folder)}
    app(grid, Context(0, 1, {}, RecordDict(), config))
    return messages, folder


def test_nothing_crosses_but_what_may(captured: tuple[list[Message], Path], hospitals: Path) -> None:
    messages, _ = captured
    assert len(messages) > 60
    cells = "".join((hospitals / f"{name}.csv").read_text() for name in ("allegheny", "salt-lake"))
    tokens = {t.name for name in ("allegheny", "salt-lake") for t in load_site(hospitals / f"{name}.toml").vocabulary}
    identifiers = {line.split(",")[0] for line in cells.splitlines()} - {"encounter_id"}
    for message in messages:
        check_records(message, {768, len(tokens)})
        words = repr(message.content.config_records) + repr(message.content.metric_records)
        assert not [each for each in identifiers if each in words]
        assert len(words) < 40_000


def check_records(message: Message, dimensions: set[int]) -> None:
    """Check one message: known records, known arrays, known figures."""
    content = message.content
    assert set(content) <= {"arrays", "config", "figures"}
    config = content["config"]
    if message.metadata.reply_to_message_id:
        assert set(config) == {"code", "site", "facts", "withheld"}
        assert set(str(config["withheld"]).split()) <= set(LEAVING)
        assert config["code"] == "ok"
        for name in content["figures"]:
            assert name in FIGURES, name
    else:
        assert set(config) <= {"task", "server-round"}
        kind = Greet if json.loads(str(config["task"]))["kind"] == "greet" else Work
        kind.model_validate_json(str(config["task"]))
    for record in content.array_records.values():
        check_arrays({name: array.numpy() for name, array in record.items()}, dimensions)


def check_arrays(arrays: dict[str, np.ndarray], dimensions: set[int]) -> None:  # type: ignore[type-arg]
    """Check that the arrays are one of the two that may travel."""
    (name,) = arrays
    assert name in ("linear", "cnn+linear")
    if name == "linear":
        assert arrays[name].size == 202
        unpack(arrays, ("linear",), 1, ModelShape())
    else:
        dimension = (arrays[name].size - 302) // 100
        assert dimension in dimensions  # MiniLM's, or one-hot's over both vocabularies
        unpack(arrays, EVERYTHING, dimension, ModelShape())


def test_the_account_is_what_crossed(captured: tuple[list[Message], Path]) -> None:
    messages, folder = captured
    account = pd.read_csv(folder / "exchange.csv", keep_default_na=False)
    assert len(account) == len(messages)
    back = account.query("direction == 'back'")
    linear = back.query("phase == 'linear'")
    assert set(linear["arrays"]) == {"linear"}
    assert set(linear["numbers"]) == {202}
    assert (linear["bytes"] >= 202 * 4).all()
    assert set(back[back["phase"].isin(["direct", "local"])]["numbers"]) == {0}
    full = back.query("phase == 'full' and embedding == 'minilm'")
    assert set(full["numbers"]) == {768 * 100 + 100 + 202}
    total = sum(int(a.numpy().size) for m in messages for r in m.content.array_records.values() for a in r.values())
    assert account["numbers"].sum() == total
