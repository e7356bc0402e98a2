"""Whole runs over several sources: how they are weighed, FedPer, an ensemble, regression, and another prevalence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from flwr.app import Context, Message, RecordDict
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from client.baselines import Ensemble
from client.preparation import Prepared, prepare
from client.site_file import load_site
from client.training import all_probabilities
from common.config import Federation, load_federation
from common.errors import ConfigError, SiteError
from common.grid import InProcessGrid
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Embedding
from common.wire import pack
from server.app import app
from server.simulate import RESOLVED, _resolved, parse_aggregation, run
from server.summary import show

Make = Callable[..., Federation]
Floats = NDArray[np.float32]
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
NAMES = ("allegheny", "salt-lake", "third")
HEAD = 202
SHAPE = ModelShape()


def made(hospitals: Path, folder: Path) -> dict[str, Any]:
    """Write three sites that tell means, of which the third has some patients of the first; two are sources."""
    for name in NAMES:
        origin = "allegheny" if name == "third" else name
        text = (hospitals / f"{origin}.toml").read_text().replace(origin, name)
        (folder / f"{name}.toml").write_text(text.replace("[policy]\n", "[policy]\nlikeness = { epsilon = 20 }\n"))
        cells = pd.read_csv(hospitals / f"{origin}.csv", dtype=str, keep_default_na=False)
        (cells[cells.index % 2 == 0] if name == "third" else cells).to_csv(folder / f"{name}.csv", index=False)
    sites = {name: {"file": str(folder / f"{name}.toml")} for name in NAMES}
    return {"sites": sites, "directions": [{"sources": ["salt-lake", "third"], "targets": ["allegheny"]}]}


@pytest.fixture
def three(hospitals: Path, tmp_path: Path) -> dict[str, Any]:
    """Three sites, two of them sources."""
    return made(hospitals, tmp_path)


def watched(federation: Federation, folder: Path) -> list[Message]:
    """Run, and give every message that crossed."""
    folder.mkdir()
    files = {name: Path(str(site.file)) for name, site in federation.sites.items()}
    (folder / RESOLVED).write_text(_resolved(federation, files))
    grid = InProcessGrid({name: {"site-files": str(file), "out": str(folder)} for name, file in files.items()})
    seen: list[Message] = []
    grid.observers.append(seen.append)
    app(grid, Context(0, 1, {}, RecordDict(), {"federation": str(folder / RESOLVED), "out": str(folder)}))
    return seen


def models(messages: list[Message], answers: bool) -> list[Floats]:
    """Give the whole models that went to sites, or came back."""
    arrays = [each.content.array_records.get("arrays") for each in messages if bool(_reply(each)) == answers]
    return [record["cnn+linear"].numpy() for record in arrays if record and "cnn+linear" in record]


def _reply(message: Message) -> str:
    return message.metadata.reply_to_message_id


def joined(folder: Path) -> Floats:
    state = load_file(folder / "weights" / "minilm_7_salt-lake+third_source.safetensors")
    return pack(state, EVERYTHING, 768, SHAPE)["cnn+linear"]


@pytest.mark.parametrize("weights", ["size", "equal", "likeness"])
def test_sources_are_joined_by_the_shares_that_are_told(
    federation: Make, three: dict[str, Any], tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = {"likeness": {"epsilon": 20.0}} if weights == "likeness" else {}
    changes = {"seeds": [7, 8], "training": {"rounds": 1}, "strategies": ["direct"]}
    checked = federation(**three, **changes, aggregation={"weights": weights, **cost})
    messages = watched(checked, tmp_path / "run")
    told = pd.read_csv(tmp_path / "run" / "sources.csv").query("seed == 7").set_index("site")
    assert told["weight"].sum() == pytest.approx(1)
    first, second = models(messages, answers=True)[:2]
    by_hand = told["weight"]["salt-lake"] * first.astype(np.float64) + told["weight"]["third"] * second
    np.testing.assert_allclose(joined(tmp_path / "run"), by_hand, atol=1e-7)
    rounds = pd.read_csv(tmp_path / "run" / "rounds.csv").query("phase == 'source' and round == 1 and seed == 7")
    sizes = rounds.set_index("site")["encounters"]
    if weights == "size":
        assert told["weight"].to_dict() == pytest.approx((sizes / sizes.sum()).to_dict())
    elif weights == "equal":
        assert told["weight"].tolist() == [0.5, 0.5]
    else:
        assert told["squared_distance"]["third"] < told["squared_distance"]["salt-lake"]
        assert told["weight"]["third"] > 1.3 * sizes["third"] / sizes.sum()
        means = [m for m in messages if "mean" in m.content.array_records.get("arrays", {})]
        assert len(means) == 3  # once for each site, not for each seed
        assert all((tmp_path / "run" / "agents" / name / "likeness.json").is_file() for name in NAMES)
    assert told["squared_distance"].isna().all() == (weights != "likeness")
    show(tmp_path / "run", checked)
    assert f"{told['weight']['third']:.3f}" in capsys.readouterr().out


def test_a_site_that_tells_no_mean_stops_a_run_that_needs_it(
    federation: Make, three: dict[str, Any], tmp_path: Path
) -> None:
    lake = tmp_path / "salt-lake.toml"
    lake.write_text(lake.read_text().replace("likeness = { epsilon = 20 }\n", ""))
    failures = {"policy": "continue"}
    checked = federation(**three, aggregation={"weights": "likeness"}, failures=failures)
    with pytest.raises(SiteError) as error:
        run(checked, tmp_path / "federation.toml", tmp_path / "run")
    assert "likeness: site salt-lake: the site's policy does not allow this task" in str(error.value)
    assert "the policy has no [policy.likeness], so that no mean of embeddings leaves" in str(error.value)


def test_a_head_goes_to_nobody_but_its_own_source(federation: Make, three: dict[str, Any], tmp_path: Path) -> None:
    messages = watched(federation(**three, training={"rounds": 3}, strategies=["fedper"]), tmp_path / "run")
    asked = [each for each in messages if '"strategy":"source"' in str(each.content["config"].get("task", ""))]
    back = {_reply(each): each for each in messages if _reply(each)}
    answers = [whole(back[each.metadata.message_id]) for each in asked]
    share = pd.read_csv(tmp_path / "run" / "sources.csv").query("strategy == 'fedper'")["weight"].tolist()
    assert len(asked) == 12  # two sources, three rounds, with one head and with their own
    for i in range(8, 12):
        came, before = whole(asked[i]), answers[8 - 2 + (i - 8) // 2 * 2 : 8 + (i - 8) // 2 * 2]
        np.testing.assert_array_equal(came[-HEAD:], answers[i - 2][-HEAD:])  # its own, as it left it
        body = share[0] * before[0][:-HEAD].astype(np.float64) + share[1] * before[1][:-HEAD]
        np.testing.assert_allclose(came[:-HEAD], body, atol=1e-7)
    start = pack(initial_weights(768, SHAPE, derive(7, "init")), EVERYTHING, 768, SHAPE)["cnn+linear"]
    (tuned,) = [each for each in messages if '"strategy":"fedper"' in str(each.content["config"].get("task", ""))]
    np.testing.assert_array_equal(whole(tuned)[-HEAD:], start[-HEAD:])  # no source's head reaches the target


def whole(message: Message) -> Floats:
    return message.content.array_records["arrays"]["cnn+linear"].numpy()


@pytest.fixture(scope="module")
def everything(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every baseline."""
    folder = tmp_path_factory.mktemp("everything")
    content = made(hospitals, folder) | {"name": "everything", "seeds": [7], "embeddings": ["minilm"], "intervals": 100}
    content |= {"training": {"rounds": 1, "epochs": 6, "batches": 20}, "tuning": {"epochs": 2, "batches": 8}}
    content |= {"strategies": ["local", "direct", "prior", "fedper", "ensemble", "logistic"]}
    (folder / "federation.toml").write_text(tomli_w.dumps(content))
    run(load_federation(folder / "federation.toml"), folder / "federation.toml", folder / "run")
    return folder / "run"


def prepared(folder: Path, name: str) -> Prepared:
    return prepare(load_site(folder.parent / f"{name}.toml"), MINILM)


def test_baselines_are_what_their_models_give(everything: Path) -> None:
    target = prepared(everything, "allegheny")
    rows = pd.read_csv(everything / "results.csv", keep_default_na=False, na_values=[""]).query("split == 'test'")
    at_target = rows.query("site == 'allegheny'").set_index("strategy")
    tuned = load_file(everything / "weights" / "minilm_7_salt-lake+third_fedper-allegheny.safetensors")
    assert set(tuned) == set(initial_weights(768, SHAPE, 0))  # the whole model: its CNN is nowhere else
    model = ConceptCNN(target.table, SHAPE)
    model.load_state_dict(tuned)
    assert at_target["auroc"]["fedper"] == pytest.approx(_auroc(model, target), abs=1e-9)
    # those that train alone for the ensemble are what "local" is
    alone = rows.query("strategy == 'ensemble' and site != 'allegheny'").set_index("site")
    local = rows.query("strategy == 'local'").set_index("site")
    assert alone["auroc"].to_dict() == local.loc[alone.index, "auroc"].to_dict()
    exchange = pd.read_csv(everything / "exchange.csv", keep_default_na=False)
    sent = exchange.query("phase == 'ensemble' and direction == 'out' and site == 'allegheny'")
    assert sent["numbers"].tolist() == [2 * 77_102]
    assert exchange.query("phase == 'logistic'")["numbers"].sum() == 0


def _auroc(model: Any, data: Prepared) -> float:
    test = data.splits["test"]
    return float(roc_auc_score(test.labels.numpy(), all_probabilities(model, test)[:, 0]))


def test_an_ensemble_is_the_mean_probability(everything: Path) -> None:
    target = prepared(everything, "allegheny")
    members = []
    for seed in (1, 2, 3):
        member = ConceptCNN(target.table, SHAPE)
        member.load_state_dict(initial_weights(768, SHAPE, seed))
        members.append(member)
    test = target.splits["test"]
    mean = sum(all_probabilities(member, test) for member in members) / 3
    np.testing.assert_allclose(all_probabilities(Ensemble(members), test), mean, atol=1e-15)
    assert np.array_equal(all_probabilities(Ensemble(members[:1]), test), all_probabilities(members[0], test))


def test_regression_is_scikit_learns_on_one_column_a_token(everything: Path) -> None:
    target = prepared(everything, "allegheny")
    present = {}
    for split, encounters in target.splits.items():
        present[split] = np.zeros((len(encounters), len(target.table)))
        for row, tokens in enumerate(encounters.tokens.tolist()):
            present[split][row, [token for token in tokens if token]] = 1
    labels = {split: encounters.labels.numpy() for split, encounters in target.splits.items()}
    aurocs = {}
    for strength in (0.01, 0.1, 1.0, 10.0):
        fitted = LogisticRegression(C=strength, max_iter=10_000).fit(present["train"], labels["train"])
        scores = {split: fitted.decision_function(x) for split, x in present.items()}
        aurocs[roc_auc_score(labels["validation"], scores["validation"])] = roc_auc_score(
            labels["test"], scores["test"]
        )
    rows = pd.read_csv(everything / "results.csv").query("split == 'test' and strategy == 'logistic'")
    assert rows.set_index("site")["auroc"]["allegheny"] == pytest.approx(aurocs[max(aurocs)], abs=1e-3)


def test_the_prior_is_corrected_by_both_prevalences(everything: Path) -> None:
    """By Bayes: the odds of every encounter change by the ratio of the odds of the prevalences."""
    rows = pd.read_csv(everything / "results.csv").query("split == 'validation' and strategy == 'source'")
    rows = rows.set_index("site")
    shares = pd.read_csv(everything / "sources.csv").query("strategy == 'source'").set_index("site")["weight"]
    there = sum(shares[site] * rows["positive"][site] / rows["n"][site] for site in ("salt-lake", "third"))
    target = prepared(everything, "allegheny")
    here = target.splits["train"].labels.double().mean().item()
    chances = {}
    for strategy, file in (("direct", "source"), ("prior", "prior-allegheny")):
        state = load_file(everything / "weights" / "minilm_7_salt-lake+third_source.safetensors")
        state |= load_file(everything / "weights" / f"minilm_7_salt-lake+third_{file}.safetensors")
        model = ConceptCNN(target.table, SHAPE)
        model.load_state_dict(state)
        chances[strategy] = all_probabilities(model, target.splits["test"])[:, 0]
    odds = {strategy: p / (1 - p) for strategy, p in chances.items()}
    np.testing.assert_allclose(odds["prior"] / odds["direct"], here / (1 - here) / (there / (1 - there)), rtol=1e-4)


def test_without_counts_at_the_sources_the_prior_is_left_out_and_named(
    federation: Make, three: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("salt-lake", "third"):  # enough to train on, too few to be told of in validation
        path = tmp_path / f"{name}.toml"
        path.write_text(re.sub(r"min_cell = \d+", "min_cell = 60", path.read_text()))
    checked = federation(**three, strategies=["direct", "prior"], training={"batch_size": 64})
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    absent = json.loads((tmp_path / "run" / "results.json").read_text())["absent"]
    assert absent == [
        "prior at allegheny: salt-lake, third do not tell how many of their validation encounters are positive"
    ]
    assert "prior" not in set(pd.read_csv(tmp_path / "run" / "results.csv")["strategy"])


def test_one_source_alone_needs_no_second_training(federation: Make, three: dict[str, Any], tmp_path: Path) -> None:
    one = three | {"directions": [{"sources": ["third"], "targets": ["allegheny"]}]}
    checked = federation(**one, strategies=["direct", "fedper", "ensemble", "linear"])
    run(checked, tmp_path / "federation.toml", tmp_path / "run")
    rounds = pd.read_csv(tmp_path / "run" / "rounds.csv").query("round > 0")
    assert set(rounds["phase"]) == {"source"}
    rows = pd.read_csv(tmp_path / "run" / "results.csv").query("site == 'allegheny' and split == 'test'")
    rows = rows.set_index("strategy")
    pd.testing.assert_series_equal(rows.loc["ensemble"], rows.loc["direct"], check_names=False)
    assert not (tmp_path / "run" / "sources.csv").exists()
    tuned = load_file(tmp_path / "run" / "weights" / "minilm_7_third_fedper-allegheny.safetensors")
    source = load_file(tmp_path / "run" / "weights" / "minilm_7_third_source.safetensors")
    assert (tuned["conv.weight"] == source["conv.weight"]).all()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FedAdam", {"name": "FedAdam", "options": {}}),
        ("FedProx proximal_mu=0.1", {"name": "FedProx", "options": {"proximal_mu": 0.1}}),
        ("Krum num_malicious_nodes=1", {"name": "Krum", "options": {"num_malicious_nodes": 1}}),
    ],
)
def test_an_aggregation_on_the_command_line(text: str, found: dict[str, Any]) -> None:
    assert parse_aggregation(text) == found


def test_an_aggregation_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="--aggregation 'FedProx mu': expected a name and options, as FedProx"):
        parse_aggregation("FedProx mu")
