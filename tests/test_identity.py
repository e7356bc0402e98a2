"""Ways of running that must give one answer, to the last bit or to a stated tolerance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from client.agent import Agent
from client.preparation import prepare
from client.site_file import load_site
from client.training import Encounters, Stage, snapshot, train
from common import __version__
from common.config import Federation
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.strategies import EVERYTHING
from common.tasks import Embedding, Request, Work
from common.wire import pack, unpack
from server.simulate import run

Make = Callable[..., Federation]
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
ONE = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]


def contents(folder: Path) -> dict[str, str]:
    """Every file of a run with its digest, but for the file that names the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "events.jsonl"]  # has times
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_run_twice_gives_the_same_bytes(federation: Make, tmp_path: Path) -> None:
    both = []
    for name in ("run-a", "run-b"):
        run(federation(), tmp_path / "federation.toml", tmp_path / name)
        both.append(contents(tmp_path / name))
    assert both[0] == both[1]
    assert len([name for name in both[0] if name.startswith("weights")]) == 6


def test_another_seed_gives_other_weights(federation: Make, tmp_path: Path) -> None:
    for seed in (7, 8):
        run(federation(seeds=[seed], directions=ONE), tmp_path / "federation.toml", tmp_path / str(seed))
    first, second = (pd.read_json(tmp_path / str(seed) / "results.json", typ="series")["weights"] for seed in (7, 8))
    assert set(first.values()).isdisjoint(second.values())


@pytest.mark.parametrize(("rounds", "patience"), [(1, "endless"), (3, "endless"), (40, 1)])
def test_one_source_equals_training_alone(
    federation: Make, hospitals: Path, tmp_path: Path, rounds: int, patience: int | str
) -> None:
    changes = {"rounds": rounds, "epochs": 2, "patience": patience}
    checked = federation(directions=ONE, training=changes, strategies=["local", "direct"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    data = prepare(load_site(hospitals / "allegheny.toml"), MINILM)
    model = ConceptCNN(data.table, checked.model, checked.training.dropout)
    model.load_state_dict(initial_weights(768, checked.model, derive(7, "init")))
    splits = data.splits
    seed_of = lambda number: derive(7, "train", "allegheny", number)  # noqa: E731
    parts = splits["train"], splits["validation"]
    train(model, Stage(*parts, checked.training, EVERYTHING, seed_of, basis=data.basis))
    alone = pack(snapshot(model), EVERYTHING, 768, checked.model)["cnn+linear"]
    weights = pd.read_json(tmp_path / "run" / "results.json", typ="series")["weights"]
    assert weights["minilm_7_allegheny_source"] == hashlib.sha256(alone.tobytes()).hexdigest()
    table = pd.read_csv(tmp_path / "run" / "results.csv").query("site == 'allegheny' and split == 'test'")
    rows = table.set_index("strategy")[["auroc", "brier", "auroc_low", "sensitivity"]]
    task = {
        "version": __version__,
        "run": "",
        "strategy": "local",
        "embedding": MINILM,
        "model": checked.model,
        "seed": 7,
    }
    task |= {"training": checked.training, "score": ["test"], "choose_threshold": True, "intervals": checked.intervals}
    start = pack(initial_weights(768, checked.model, derive(7, "init")), EVERYTHING, 768, checked.model)
    agent = Agent([load_site(hospitals / "allegheny.toml")])
    figures = agent.answer(Request(Work.model_validate(task).model_dump_json(), dict(start))).figures
    for column, figure in rows.loc["source"].items():
        told = figures.get("test." + str(column).replace("_low", ".low"))  # None where few patients are behind it
        assert told == (None if pd.isna(figure) else figure)
    pd.testing.assert_series_equal(rows.loc["local"], rows.loc["source"], check_names=False, check_exact=True)


def test_federated_equals_pooled(federation: Make, hospitals: Path, tmp_path: Path) -> None:
    """One step on all encounters of each site, weighted by their number, is one step on all encounters together."""
    sites = {name: {"file": str(hospitals / f"{name}.toml")} for name in ("allegheny", "salt-lake", "third")}
    third = tmp_path / "third.toml"
    third.write_text((hospitals / "allegheny.toml").read_text().replace('"allegheny"', '"third"'))
    (tmp_path / "allegheny.csv").write_bytes((hospitals / "allegheny.csv").read_bytes())
    sites["third"] = {"file": str(third)}
    plain = {
        "rounds": 1,
        "patience": "endless",
        "epochs": 1,
        "batches": 1,
        "batch_size": 65536,
        "dropout": 0.0,
        "weight_decay": 0.0,
    }
    checked = federation(
        sites=sites,
        directions=[{"sources": ["allegheny", "salt-lake"], "targets": ["third"]}],
        training=plain,
        strategies=["direct", "pooled"],
    )
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    parts = [prepare(load_site(hospitals / f"{name}.toml"), MINILM) for name in ("allegheny", "salt-lake")]
    state = initial_weights(768, checked.model, derive(7, "init"))
    gradients, counts = [], []
    for part in parts:
        model = ConceptCNN(part.table, checked.model, 0.0)
        model.load_state_dict(state)
        split: Encounters = part.splits["train"]
        torch.nn.functional.cross_entropy(model(split.tokens), split.labels, reduction="sum").backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
        counts.append(len(split))
    from safetensors.torch import load_file

    joined = load_file(tmp_path / "run" / "weights" / "minilm_7_allegheny+salt-lake_source.safetensors")
    for name, value in joined.items():
        pooled = sum(g[name] for g in gradients) / sum(counts)
        # the first step of Nesterov's momentum is 1 + momentum times the plain one
        expected = state[name] - checked.training.learning_rate * 1.9 * pooled
        torch.testing.assert_close(value, expected, atol=1e-7, rtol=1e-5)


def test_pooling_in_the_simulator_is_all_encounters(federation: Make, tmp_path: Path) -> None:
    run(federation(strategies=["direct", "pooled"]), tmp_path / "federation.toml", tmp_path / "run")
    table = pd.read_csv(tmp_path / "run" / "results.csv").query("strategy == 'pooled' and split == 'test'")
    assert set(table["site"]) == {"allegheny", "salt-lake"}
    assert table["auroc"].between(0.5, 1).all()


def test_unpacked_digest_is_that_of_the_file(federation: Make, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    checked = federation(directions=ONE, strategies=["full"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    for name, digest in pd.read_json(tmp_path / "run" / "results.json", typ="series")["weights"].items():
        state = load_file(tmp_path / "run" / "weights" / f"{name}.safetensors")
        flat = pack(state, EVERYTHING, 768, checked.model)
        assert hashlib.sha256(flat["cnn+linear"].tobytes()).hexdigest() == digest
        assert unpack(flat, EVERYTHING, 768, checked.model).keys() == state.keys()
